"""Tensor names of published generators in ours: a dict from their modules to ours, made from the generator's config."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from evagan_plugin.config import GeneratorConfig

if TYPE_CHECKING:
    from torch import Tensor


def translated(
    state: Mapping[str, "Tensor"], modules: Mapping[str, str]
) -> tuple[dict[str, "Tensor"], Callable[[str], str]]:
    """Return a generator's tensors under our names, out of the state of any module that holds such a generator.

    Args:
        state: Tensors by published name.
        modules: Our module for each of theirs. The bias of the first one shows the prefix of the generator's names.

    Returns:
        tuple: The generator's tensors, and a function from our name of a tensor to its published one, for errors. A
        name that ``modules`` does not have stays as it is, to be reported as unexpected. So do all names if there is
        no such generator.
    """
    prefix = prefix_before(f"{next(iter(modules))}.bias", state)
    if prefix is None:
        return dict(state), str
    inner = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    # Two of their modules may be one of ours: the name in the error is the one that has tensors.
    present = [theirs for theirs in modules if any(name.startswith(_kind(theirs)) for name in inner)]
    theirs_of = {modules[theirs]: prefix + theirs for theirs in [*modules, *present]}

    def published(name: str) -> str:
        return prefix + name if name in inner else renamed(name, theirs_of)

    return {renamed(name, modules): value for name, value in inner.items()}, published


def prefix_before(landmark: str, state: Iterable[str]) -> str | None:
    """Return what stands before a tensor's name in the names of a state; None if no name ends so."""
    return next(iter(prefixes_before(landmark, state)), None)


def prefixes_before(landmark: str, state: Iterable[str]) -> list[str]:
    """Return what stands before a tensor's name, once for each module in the state that has such a tensor."""
    return [name.removesuffix(landmark) for name in state if f".{name}".endswith(f".{landmark}")]


def _kind(module: str) -> str:
    """Return a module's name without its numbers, e.g. ``"channel_layers."`` of ``"channel_layers.1.0"``."""
    return re.sub(r"(\.\d+)+$", ".", module)


def renamed(name: str, modules: Mapping[str, str]) -> str:
    """Return a tensor's name with its module, the longest that ``modules`` has, replaced by what it is there."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if module := modules.get(".".join(parts[:length])):
            return ".".join([module, *parts[length:]])
    return name


def block_names(generator: GeneratorConfig, theirs: str, dilated: str = "convs1") -> dict[str, str]:
    """Return the modules of the residual blocks.

    Args:
        generator: How many there are.
        theirs: Their name with the fields ``stage``, ``block`` or ``index`` (counted through all stages), ``kind`` and
            ``layer``, e.g. ``"resblocks.{index}.{kind}.{layer}"``.
        dilated: Their kind of a dilated convolution; the one after it is ``convs2``.
    """
    kinds = {"dilated": dilated, "plain": "convs2"}
    blocks = len(generator.dilations)
    return {
        theirs.format(stage=stage, block=block, index=stage * blocks + block, kind=kind, layer=layer): (
            f"upsampler.stages.{stage}.blocks.{block}.{ours}.{layer}"
        )
        for stage in range(len(generator.upsample_rates))
        for block, dilations in enumerate(generator.dilations)
        for layer in range(len(dilations))
        for ours, kind in kinds.items()
    }


def indexed(count: int, theirs: str, ours: str) -> dict[str, str]:
    """Return ``count`` modules whose names, theirs and ours, have the field ``i``."""
    return {theirs.format(i=index): ours.format(i=index) for index in range(count)}
