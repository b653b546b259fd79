"""Weights and config in one place: a directory with ``config.yaml`` and ``model.safetensors``.

Weights are stored with weight normalisation folded in, so the same file serves inference and fine-tuning. A
training checkpoint of a host (``.pth``, with the host's config beside it) opens through the same functions.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.utils import parametrize

from evagan_plugin.checkpoint.formats import espnet
from evagan_plugin.checkpoint.formats.names import prefix_before, translated
from evagan_plugin.config import VocoderConfig, build_config, config_difference, config_to_dict, dump_config, read_yaml
from evagan_plugin.errors import ConfigError, EvaganError, UsageError, some
from evagan_plugin.model.generator import EVAGANGenerator
from evagan_plugin.utils.files import atomic_path

VOCODERS = ("eva_gan", "hifigan")
"""What ``vocoder:`` of a host's training config may name; the generator is an ``EVAGANGenerator`` in either case."""
WEIGHTS = "model.safetensors"
CONFIG = "config.yaml"
LANDMARK = "upsampler.pre.bias"
"""A tensor that every EVA-GAN generator has: what stands before it is the prefix of the generator's names."""
WEIGHT_NORM = {
    "parametrizations.weight.original0": "parametrizations.weight.original1",
    "weight_g": "weight_v",
}
"""Names of magnitude and direction of a weight-normalised weight in PyTorch's two ways to do it."""
DISCRIMINATORS = "gan.discriminators."
"""Begin of the names that a host's checkpoint of a whole training has and that of a generator alone has not."""
HOLDERS = ("state_dict", "model", "generator")
"""Keys under which trainers keep weights by name, from the outside in."""


def save_checkpoint(directory: str | Path, config: VocoderConfig, generator: EVAGANGenerator) -> None:
    """Write ``config.yaml`` and ``model.safetensors`` into a directory, each whole or not at all."""
    directory = Path(directory)
    state = {name: value.float().cpu().contiguous() for name, value in folded(generator.state_dict()).items()}
    with atomic_path(directory / WEIGHTS) as temporary:
        temporary.write_bytes(safetensors.torch.save(state))
    dump_config(config, directory / CONFIG)


def load_generator(path: str | Path, config: str | Path | None = None) -> tuple[VocoderConfig, EVAGANGenerator]:
    """Build the generator of a checkpoint with its weights (weight norm on, evaluation mode, on the CPU).

    Args:
        path: A directory with both files, a ``.safetensors`` file, or a host's ``.pth`` training checkpoint.
        config: The config file; the one beside the weights when None.

    Raises:
        EvaganError: If the weights are truncated, hold code, hold no EVA-GAN generator or do not fit the config.
        ConfigError: If the config is missing or wrong.
    """
    settings = load_config_of(path, config)
    path = _weights_file(path)
    # A training checkpoint of ESPnet's HiFi-GAN, the baseline of the vocoder task, has ESPnet's names.
    state, named = translated(read_weights(path), espnet.module_names(settings.generator))
    weights = generator_weights(state, path)
    prefix = prefix_before(LANDMARK, state)
    generator = EVAGANGenerator.from_config(settings)
    fill(generator, weights, path, lambda name: named(f"{prefix}{name}"))
    return settings, generator.eval()


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


def folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state with each weight-normalised pair replaced by the weight that it stands for."""
    plain = dict(state)
    for name in state:
        for magnitude, direction in WEIGHT_NORM.items():
            stem = name.removesuffix(magnitude)
            vectors = state.get(stem + direction)
            if not name.endswith(magnitude) or vectors is None:
                continue
            # Another shape would be broadcast without a word; left as it is, it is told as unexpected.
            if state[name].shape == (vectors.shape[:1] + (1,) * (vectors.dim() - 1)):
                plain[stem + "weight"] = torch._weight_norm(plain.pop(stem + direction), plain.pop(name), 0)
    return plain


def fill(module: nn.Module, state: Mapping[str, Tensor], source: str | Path, named: Callable[[str], str] = str) -> None:
    """Put folded weights into a module, whether or not it is weight-normalised; all of them or none.

    Args:
        module: What is filled.
        state: Weights by the module's names.
        source: Where they are from, for errors.
        named: What a tensor is called there, for errors.

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


def check_same_config(ours: VocoderConfig, theirs: VocoderConfig, source: str | Path) -> None:
    """Check that a checkpoint was made by the same mel and generator.

    Raises:
        ConfigError: With every field that differs, ours first.
    """
    left, right = ({key: config_to_dict(config)[key] for key in ("mel", "generator")} for config in (ours, theirs))
    for memory in ("checkpointing", "recompute_activation"):  # these change no weight
        left["generator"].pop(memory), right["generator"].pop(memory)
    if lines := config_difference(left, right):
        raise ConfigError(f"{source} is of another configuration: {'; '.join(lines)}")


def load_config_of(weights: str | Path, config: str | Path | None = None) -> VocoderConfig:
    """Read the vocoder config of a checkpoint: ``config`` if given, else the one beside the weights.

    ``config`` may be a vocoder config or a host's training config that has one under ``vocoder_conf``.
    """
    if config is None:
        path = _weights_file(weights)
        config = next((p for name in (CONFIG, "config.json") if (p := path.with_name(name)).is_file()), None)
        if config is None:
            raise ConfigError(f"no {CONFIG} beside {path}: give the config file")
    path = Path(config)
    settings = read_yaml(path)  # JSON is YAML
    if "vocoder_conf" in settings:
        if settings.get("vocoder", "eva_gan") not in VOCODERS:
            raise ConfigError(f"{path}: vocoder is '{settings['vocoder']}', not one of {', '.join(VOCODERS)}")
        settings = settings["vocoder_conf"]
    try:
        return build_config(settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _weights_file(path: str | Path) -> Path:
    path = Path(path)
    if path.is_dir():
        if not (path / WEIGHTS).is_file():
            # Those of single epochs last.
            others = sorted(path.glob("*.pth"), key=lambda entry: (entry.name[0].isdigit(), entry.name))
            names = ", ".join(entry.name for entry in others[:8])
            hint = f"one of its training checkpoints ({names})" if others else "a weights file"
            raise UsageError(f"{path} has no {WEIGHTS}: give a checkpoint directory or {hint}")
        return path / WEIGHTS
    if not path.is_file():
        raise UsageError(f"there is no checkpoint {path}")
    return path


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
