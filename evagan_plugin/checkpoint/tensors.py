"""Tensors of a checkpoint: read from a file, weight norm folded, put into a module, checked."""

import logging
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.utils import parametrize

from evagan_plugin.checkpoint.formats.names import prefix_before
from evagan_plugin.checkpoint.formats.training import LANDMARK
from evagan_plugin.config import MelStatistics
from evagan_plugin.config.parts import AVERAGE, AVERAGE_STEPS, GENERATOR, STATISTICS
from evagan_plugin.errors import EvaganError, UsageError, nearest, some

logger = logging.getLogger(__name__)

WEIGHT_NORM = {
    "parametrizations.weight.original0": "parametrizations.weight.original1",
    "weight_g": "weight_v",
}
"""Names of magnitude and direction of a weight-normalised weight in PyTorch's two ways to do it."""
HOLDERS = ("state_dict", "model", "generator")
"""Keys under which trainers keep weights by name, from the outside in."""


HARMLESS = (
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    "numpy.dtype",
    "numpy.ndarray",
    "argparse.Namespace",
    "types.SimpleNamespace",
    "datetime.datetime",
    *(f"{module}.{kind}Path" for module in ("pathlib", "pathlib._local") for kind in ("Posix", "Windows")),
)
"""What trainers keep beside the weights (losses, options, states of random generators) by full name in a pickle; it is
passed over."""
UNSUPPORTED = re.compile(r"Unsupported global: GLOBAL (\S+)|unsupported GLOBAL (\S+)|unrecognized function (.+)")
"""What PyTorch says of a name in a pickle that is not allowed."""
TRAINING_STATE = frozenset({"mpd", "msd", "mrd", "optim_g", "optim_d"})
"""Entries of the file that HiFi-GAN and its kin write beside the generator's."""
EXPORTS = (".onnx", ".pt2")
"""Suffixes of files that compute but hold no weights by our names."""


class _PassedOver:
    """Stands in for a value beside the weights: takes whatever a pickle says of it, keeps and runs nothing."""

    def __new__(cls, *values: object) -> "_PassedOver":
        return super().__new__(cls)

    def __init__(self, *values: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def read_weights(path: str | Path, entry: str | None = None) -> dict[str, Tensor]:
    """Read tensors by name from a ``.safetensors`` file or a pickle; code in a pickle is refused, not run.

    Args:
        path: The file.
        entry: Which of several weights to take: an entry of the pickle such as ``"generator_ema"``, or what the names
            of its tensors begin with; the generator or the model itself when None.

    Raises:
        EvaganError: If the file is damaged, holds more than weights, or holds no weights by name.
        UsageError: If there are no weights of the name ``entry``, or the file is an export.
    """
    path = Path(path)
    if path.suffix.lower() in EXPORTS:
        raise UsageError(f"{path} is an export, which nothing is made of: give the checkpoint that it was made of")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    levels = [content]
    for holder in HOLDERS:
        inner = levels[-1].get(holder)
        if isinstance(inner, dict):
            others = [name for name in _entries(levels[-1]) if name != holder and _is_average(name, inner, levels[-1])]
            if entry is None and others:
                logger.warning("%s: '%s' is taken; it also has %s (--weights)", path, holder, some(others))
            levels.append(inner)
    if entry is not None:
        return _entry(levels, entry, path)
    tensors = {name: value for name, value in levels[-1].items() if isinstance(value, Tensor)}
    if not tensors:
        raise EvaganError(f"{path} holds no weights by name{_contents(path, levels[-1])}")
    return tensors


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise EvaganError(f"{path} is damaged or truncated: {error}") from None


def _read_pickle(path: Path) -> dict[str, Any]:
    """Return what a pickle holds; nothing if that is no dict."""
    try:
        with torch.serialization.safe_globals([(_PassedOver, name) for name in HARMLESS]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds here, from EOFError to UnpicklingError
        reason = _more_than_weights(str(error), path) if "weights_only" in str(error).lower() else ""
        raise EvaganError(f"cannot load {path}: {reason or 'damaged or truncated'}") from error
    return content if isinstance(content, dict) else {}


def _more_than_weights(message: str, path: Path) -> str:
    found = UNSUPPORTED.search(message)
    what = f" ({next(filter(None, found.groups())).rstrip('.')})" if found else ""
    return (
        f"it holds more than weights{what}, which could run code; if you trust it, save the weights alone: "
        f"torch.save(torch.load({path.name!r}, weights_only=False)['generator'], 'weights.pth'), with the entry that "
        "has them in place of 'generator'"
    )


def _entries(level: Mapping[str, Any]) -> list[str]:
    """Return the names of what could be weights."""
    return [
        str(name)
        for name, value in level.items()
        if isinstance(value, dict) and any(isinstance(tensor, Tensor) for tensor in value.values())
    ]


def _is_average(name: str, weights: Mapping[str, Any], level: Mapping[str, Any]) -> bool:
    """Whether an entry is another state of the same network."""
    return "ema" in name.lower().split("_") or level[name].keys() == weights.keys()


def _entry(levels: list[dict[str, Any]], entry: str, path: Path) -> dict[str, Tensor]:
    for level in levels:
        if isinstance(level.get(entry), dict):
            found = level[entry]
            break
    else:
        starts = {f".{name}".partition(f".{entry}.")[0] for name in levels[-1] if f".{entry}." in f".{name}"}
        start = f"{min(starts, key=len, default='')}.{entry}."  # not a part of that name inside another network
        found = {name: value for name, value in levels[-1].items() if f".{name}".startswith(start)}
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        inside = {str(name).partition(".")[0] for name, value in levels[-1].items() if isinstance(value, Tensor)}
        known = {name for level in levels for name in _entries(level)} or inside
        raise UsageError(f"{path} has no weights '{entry}': {nearest(entry, known)}")
    return tensors


def _contents(path: Path, content: Mapping[str, Any]) -> str:
    """Return what a file without weights has instead, and where the weights are likely to be."""
    if not content:
        return ""
    hint = ""
    if TRAINING_STATE & content.keys():
        generator = path.name.replace("do_", "g_", 1) if path.name.startswith("do_") else "g_00000010"
        hint = f": discriminators and optimizers; give the generator's file ({generator})"
    elif known := _entries(content):
        hint = f"; choose one with --weights ({some(known)})"
    return f": its entries are {some(map(str, content))}{hint}"


def generator_weights(state: Mapping[str, Any], source: str | Path) -> dict[str, Tensor]:
    """Return the generator's weights, folded, out of the state of any module that holds one generator.

    Raises:
        EvaganError: If there is none in it.
    """
    prefix = prefix_before(LANDMARK, state)
    if prefix is None:
        raise EvaganError(f"{source} holds no EVA-GAN generator (no tensor named ...{LANDMARK})")
    inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return folded(inner)


def one_generator(state: Mapping[str, Tensor], source: str | Path) -> dict[str, Tensor]:
    """Return the state of a training with one generator in it, and say which where there are two.

    That is the moving average of ``training.ema``; of a training that has not taken a step yet, the generator itself.

    Args:
        state: Tensors by name; those of any other checkpoint come back as they are.
        source: Where they are from, for the line.
    """
    prefix = prefix_before(AVERAGE_STEPS, state)
    if prefix is None:
        return dict(state)
    steps = round(float(state[prefix + AVERAGE_STEPS]))
    kept = GENERATOR if steps else AVERAGE
    if steps:
        logger.warning("%s: the moving average of the generator's weights is taken (training.ema)", source)
    else:
        logger.warning("%s: the generator is taken, its moving average is of no steps yet (training.ema)", source)
    return {name: value for name, value in state.items() if not name.startswith(prefix + kept)}


def statistics_in(state: Mapping[str, Tensor]) -> MelStatistics | None:
    """Return what a state of a training says of its mels; None if it is of no training, or of one before its start."""
    values, steps = (
        next((value for name, value in state.items() if f".{name}".endswith(f".{wanted}")), None)
        for wanted in STATISTICS
    )
    if values is None or steps is None or values.numel() != 4 or not float(steps):
        return None
    mean, square, lowest, highest = values.double().tolist()
    if not all(map(math.isfinite, (mean, square, lowest, highest))):
        return None
    return MelStatistics(mean, math.sqrt(max(square - mean**2, 0.0)), lowest, highest)


def folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state with each weight-normalised pair replaced by the weight that it stands for."""
    plain = dict(state)
    for name in state:
        for magnitude, direction in WEIGHT_NORM.items():
            stem = name.removesuffix(magnitude)
            vectors = state.get(stem + direction)
            if not name.endswith(magnitude) or vectors is None:
                continue
            # Another shape would be broadcast silently; left as it is, it is reported as unexpected.
            if state[name].shape == (vectors.shape[:1] + (1,) * (vectors.dim() - 1)):
                plain[stem + "weight"] = torch._weight_norm(plain.pop(stem + direction), plain.pop(name), 0)
    return plain


def fill(module: nn.Module, state: Mapping[str, Tensor], source: str | Path, named: Callable[[str], str] = str) -> None:
    """Put folded weights into a module, whether or not it is weight-normalised; all of them or none.

    Args:
        module: What is filled.
        state: Weights by the module's names.
        source: Where they are from, for errors.
        named: Gives a tensor's name in the source, for errors.

    Raises:
        EvaganError: If tensors are missing, unexpected, of another shape or not finite; the first are listed.
    """
    check_tensors(folded(module.state_dict()), state, source, named)
    state = dict(state)
    with torch.no_grad():
        for name, layer in module.named_modules():
            if parametrize.is_parametrized(layer, "weight"):
                layer.weight = state.pop(f"{name}.weight").to(layer.weight)
    module.load_state_dict(state, strict=False)


def check_tensors(
    wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], source: str | Path, named: Callable[[str], str] = str
) -> None:
    """Check that a state has the names and shapes of the one that is wanted, and finite values.

    Raises:
        EvaganError: If tensors are missing, unexpected, of another shape or not finite; the first are listed.
    """
    problems = [f"{named(name)} is missing" for name in wanted if name not in state]
    problems += [f"{named(name)} is unexpected" for name in state if name not in wanted]
    problems += [
        f"{named(name)} is {tuple(state[name].shape)}, not {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise EvaganError(f"{source} does not fit the config: {'; '.join(problems[:5])}{more}")
    broken = [named(name) for name, value in state.items() if not value.isfinite().all()]
    if broken:
        raise EvaganError(f"{source} has values that are not finite, in {some(broken)}: take an earlier checkpoint")
