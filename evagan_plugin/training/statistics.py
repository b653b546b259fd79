"""What the mels of a training are, gathered while it runs and kept in its checkpoints."""

import torch
from torch import Tensor, nn

from evagan_plugin.training.average import StepCount

MEMORY = 2000
"""Batches that the averages go back to, about: a training that goes on with other data comes to theirs."""


class GatheredMels(nn.Module):
    """Mean, mean of the squares, lowest and highest value of the log-mels that were trained on: ``values`` (4,).

    Float buffers, as of the step count: checkpoints carry them, and hosts average them. A batch with a value that is
    not finite is left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("values", torch.zeros(4))
        self.steps = StepCount()

    @torch.no_grad()
    def add(self, mel: Tensor) -> None:
        """Let in a batch of log-mels (B, n_mels, F)."""
        mel, old = mel.float(), self.values
        new = torch.stack([mel.mean(), mel.square().mean(), mel.amin(), mel.amax()])
        steps = int(self.steps)
        if steps:
            means = torch.lerp(old[:2], new[:2], 1 / min(steps + 1, MEMORY))
            ends = torch.stack([torch.minimum(old[2], new[2]), torch.maximum(old[3], new[3])])
            new = torch.where(new.isfinite().all(), torch.cat([means, ends]), old)
        # What is not finite in the very first batch is forgotten with the second.
        self.values.copy_(new.nan_to_num())
        self.steps.add()
