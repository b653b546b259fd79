"""Discriminators of a checkpoint, in a file beside the generator's weights: fine-tuning starts with both."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from evagan_plugin.checkpoint.files import DISCRIMINATORS as FILE
from evagan_plugin.checkpoint.files import WEIGHTS, config_beside, weights_file
from evagan_plugin.checkpoint.tensors import fill, folded, read_weights
from evagan_plugin.config import DiscriminatorsConfig, VocoderConfig, read_settings
from evagan_plugin.config.parts import DISCRIMINATORS, IN_HOST, STEPS
from evagan_plugin.model.discriminators import build_discriminators
from evagan_plugin.utils.files import atomic_path

INSIDE = DISCRIMINATORS.removeprefix(IN_HOST)
"""Begin of their names in it, which are those of a training."""


@dataclass(frozen=True)
class TrainedDiscriminators:
    """Discriminators that were trained with a generator."""

    weights: Mapping[str, Tensor]
    """By the names inside the discriminators' module, with weight norm folded in."""
    steps: int
    """Generator steps of their training, those before they started included."""
    source: Path
    """Where they are from, for errors."""

    def save(self, directory: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write them into a checkpoint directory, whole or not at all."""
        tensors = {f"{INSIDE}{name}": value.to(dtype).cpu().contiguous() for name, value in self.weights.items()}
        tensors[STEPS] = torch.tensor(float(self.steps))
        with atomic_path(Path(directory) / FILE) as temporary:
            temporary.write_bytes(safetensors.torch.save(tensors))

    def training_start(self, config: DiscriminatorsConfig) -> dict[str, Tensor]:
        """Return their weights, with weight norm, and the count of steps, under the names of a host's checkpoint.

        Raises:
            EvaganError: If they do not fit the config.
        """
        module = build_discriminators(config)
        fill(module, self.weights, self.source)
        start = {f"{DISCRIMINATORS}{name}": value for name, value in module.state_dict().items()}
        return start | {f"{IN_HOST}{STEPS}": torch.tensor(float(self.steps))}


def trained_discriminators(
    source: str | Path, vocoder: VocoderConfig, config: str | Path | None = None
) -> TrainedDiscriminators | None:
    """Read the discriminators of a checkpoint of ours or of a training in a host.

    Args:
        source: Checkpoint directory, name of a pretrained model, or file of weights.
        vocoder: Its vocoder.
        config: Its config file; the one beside it when None.

    Returns:
        TrainedDiscriminators: None where the checkpoint is of a generator alone, or of a training whose discriminators
        have not started yet.

    Raises:
        EvaganError: If the file is damaged.
    """
    path = weights_file(source)
    if path.with_name(WEIGHTS) == path:
        path = path.with_name(FILE)
        if not path.is_file():
            return None
    else:
        config = config or config_beside(path)
        if config is None or "vocoder_conf" not in read_settings(config):
            return None  # of no host's training
    host = {name.removeprefix(IN_HOST): value for name, value in read_weights(path).items()}
    kept = {name: value for name, value in host.items() if name.startswith(INSIDE)}
    steps = round(float(host.get(STEPS, 0.0)))
    if not kept or steps <= vocoder.training.discriminator_start_steps:
        return None
    weights = folded({name.removeprefix(INSIDE): value.float() for name, value in kept.items()})
    return TrainedDiscriminators(weights, steps, path)
