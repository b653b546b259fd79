"""What the mels of a training are, gathered while it runs and kept in its checkpoints."""

import torch
from torch import Tensor, nn

from evagan_plugin.training.average import StepCount

MEMORY = 2000
"""Batches that the averages go back to, about: a training that goes on with other data comes to theirs."""


class GatheredMels(nn.Module):
    """Mean, mean of the squares, lowest and highest value of the log-mels that were trained on: ``values`` (4,).

    Float buffers, as of the step count: checkpoints carry them, and hosts average them. A batch with a value that is
    not finite is left out and not counted. Under ``torch.distributed`` all workers gather the same, from the batches of
    all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("values", torch.zeros(4))
        self.steps = StepCount()

    @torch.no_grad()
    def add(self, mel: Tensor) -> None:
        """Let in a batch of log-mels (B, n_mels, F)."""
        old = self.values
        mel = mel.to(old.dtype)
        new = _over_workers(torch.stack([mel.mean(), mel.square().mean(), mel.amin(), mel.amax()]))
        # Steps as a tensor, so that nothing waits for the device.
        finite, steps = new.isfinite().all(), self.steps.done
        means = torch.lerp(old[:2], new[:2], 1 / (steps + 1).clamp(max=MEMORY))
        ends = torch.stack([torch.minimum(old[2], new[2]), torch.maximum(old[3], new[3])])
        joined = torch.where(steps > 0, torch.cat([means, ends]), new)
        self.values.copy_(torch.where(finite, joined, old))
        self.steps.add(finite)


def _over_workers(found: Tensor) -> Tensor:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return found
    every = [torch.empty_like(found) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(every, found)
    every = torch.stack(every)
    return torch.cat([every[:, :2].mean(0), every[:, 2:3].amin(0), every[:, 3:].amax(0)])
