"""Our own format: a directory with ``config.yaml`` and ``model.safetensors``.

Weights are stored with weight normalisation folded in, so that one file serves inference and fine-tuning.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from evagan_plugin.checkpoint.files import CONFIG, DISCRIMINATORS, WEIGHTS
from evagan_plugin.checkpoint.tensors import fill, folded, read_weights
from evagan_plugin.config import VocoderConfig, config_difference, config_to_dict, dump_config, load_config
from evagan_plugin.errors import ConfigError
from evagan_plugin.model.generator import EVAGANGenerator, build_generator
from evagan_plugin.model.vocos import VocosGenerator
from evagan_plugin.utils.files import atomic_path


def save_checkpoint(
    directory: str | Path,
    config: VocoderConfig,
    generator: EVAGANGenerator | VocosGenerator,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write ``config.yaml`` and ``model.safetensors`` into a directory, each whole or not at all.

    Discriminators of another model that lie there are removed.

    Args:
        directory: Where to.
        config: The whole vocoder.
        generator: Its generator.
        dtype: Floating-point type of the stored weights; reading makes them float32.
    """
    directory = Path(directory)
    state = {name: value.to(dtype).cpu().contiguous() for name, value in folded(generator.state_dict()).items()}
    with atomic_path(directory / WEIGHTS) as temporary:
        temporary.write_bytes(safetensors.torch.save(state))
    (directory / DISCRIMINATORS).unlink(missing_ok=True)
    dump_config(config, directory / CONFIG)


def load_checkpoint(directory: str | Path) -> tuple[VocoderConfig, EVAGANGenerator | VocosGenerator]:
    """Read what :func:`save_checkpoint` wrote: config, and generator (weight norm on, evaluation mode, on the CPU).

    Raises:
        EvaganError: If the weights are missing, damaged or do not fit the config.
        ConfigError: If the config is missing or wrong.
    """
    weights, config = Path(directory) / WEIGHTS, load_config(Path(directory) / CONFIG)
    return config, filled_generator(config, read_weights(weights), weights)


def filled_generator(
    config: VocoderConfig, state: Mapping[str, Tensor], source: str | Path, named: Callable[[str], str] = str
) -> EVAGANGenerator | VocosGenerator:
    """Return a generator with these weights, in evaluation mode; arguments and errors as of ``tensors.fill``.

    Raises:
        ConfigError: If the config asks for more memory than there is.
    """
    try:
        generator = build_generator(config)
    except (MemoryError, RuntimeError) as error:
        raise ConfigError(
            f"{source}: the generator of its config is too large: {str(error).splitlines()[0]}"
        ) from error
    fill(generator, state, source, named)
    return generator.eval()


def check_same_config(ours: VocoderConfig, theirs: VocoderConfig, source: str | Path) -> None:
    """Check that a checkpoint was made by the same mel and generator.

    Raises:
        ConfigError: With every field that differs, ours first.
    """
    sections = ("mel", "generator", "vocos")
    left, right = ({key: config_to_dict(config)[key] for key in sections} for config in (ours, theirs))
    for one in (left, right):
        for memory in ("checkpointing", "recompute_activation") if one["generator"] else ():  # these change no weight
            one["generator"].pop(memory)
    if lines := config_difference(left, right):
        raise ConfigError(f"{source} is of another configuration: {'; '.join(lines)}")
