"""Tensors of a checkpoint: read from a file, weight norm folded, put into a module, checked."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.utils import parametrize

from evagan_plugin.checkpoint.formats.names import prefix_before
from evagan_plugin.checkpoint.formats.training import AVERAGE, AVERAGE_STEPS, LANDMARK
from evagan_plugin.errors import EvaganError, some

logger = logging.getLogger(__name__)

WEIGHT_NORM = {
    "parametrizations.weight.original0": "parametrizations.weight.original1",
    "weight_g": "weight_v",
}
"""Names of magnitude and direction of a weight-normalised weight in PyTorch's two ways to do it."""
HOLDERS = ("state_dict", "model", "generator")
"""Keys under which trainers keep weights by name, from the outside in."""


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read tensors by name from a ``.safetensors`` file or a pickle; code in a pickle is refused, not run.

    Raises:
        EvaganError: If the file is damaged, holds more than weights, or holds no weights by name.
    """
    path = Path(path)
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise EvaganError(f"{path} is damaged or truncated: {error}") from None


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds here, from EOFError to UnpicklingError
        reason = "it holds more than weights" if "weights_only" in str(error).lower() else "damaged or truncated"
        raise EvaganError(f"cannot load {path}: {reason}") from error
    for holder in HOLDERS:
        if isinstance(content, dict) and isinstance(content.get(holder), dict):
            content = content[holder]
    tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, dict) else {}
    if not tensors:
        entries = f": its entries are {some(map(str, content))}" if isinstance(content, dict) and content else ""
        raise EvaganError(f"{path} holds no weights by name{entries}")
    return tensors


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
    kept = "generator." if steps else AVERAGE
    if steps:
        logger.warning("%s: the moving average of the generator's weights is taken (training.ema)", source)
    else:
        logger.warning("%s: the generator is taken, its moving average is of no steps yet (training.ema)", source)
    return {name: value for name, value in state.items() if not name.startswith(prefix + kept)}


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
