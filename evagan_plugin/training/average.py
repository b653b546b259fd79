"""A count of steps, and the moving average of a generator's weights."""

import copy

import torch
from torch import Tensor, nn

WARM_UP = 10
"""Steps after which the decay of an average of n steps, n / (n + WARM_UP), is a half: first weights are soon gone."""


class StepCount(nn.Module):
    """Counts steps in a float buffer, which checkpoints carry and hosts average."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("done", torch.zeros(()))
        self._known: int | None = 0

    def add(self, counts: Tensor | None = None) -> None:
        """Count a step, if ``counts`` () on the same device says so; reading the number then waits for the device."""
        self._known = int(self) + 1 if counts is None else None
        self.done.add_(1 if counts is None else counts)

    def __int__(self) -> int:
        if self._known is None:
            self._known = round(float(self.done))
        return self._known

    def _load_from_state_dict(self, *arguments: object) -> None:
        super()._load_from_state_dict(*arguments)
        self._known = None


class GeneratorAverage(nn.Module):
    """Exponential moving average of a generator's weights: a generator of its own, never trained.

    With n updates so far, an update is average = d * average + (1 - d) * weights, d = min(decay, n / (n + 10)); the
    first one copies. Its weights are parameters without gradient: ``DistributedDataParallel`` sends buffers around in
    every step.

    Args:
        generator: What is averaged.
        decay: Decay per step.
    """

    def __init__(self, generator: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.generator = _copied(generator).requires_grad_(False).eval()
        self.steps = StepCount()

    @torch.no_grad()
    def update(self, generator: nn.Module) -> None:
        """Let weights of a step into the average."""
        steps = int(self.steps)
        decay = min(self.decay, steps / (steps + WARM_UP))
        torch._foreach_lerp_(
            list(self.generator.parameters()), [one.detach() for one in generator.parameters()], 1.0 - decay
        )
        for ours, theirs in zip(self.generator.buffers(), generator.buffers(), strict=True):
            ours.copy_(theirs)
        self.steps.add()

    def train(self, mode: bool = True) -> "GeneratorAverage":
        """Stay in evaluation mode."""
        return super().train(False)


def _copied(module: nn.Module) -> nn.Module:
    """Return a copy; PyTorch's older weight norm keeps a computed weight, which as such cannot be copied."""
    for part in module.modules():
        for name, value in vars(part).items():
            if isinstance(value, Tensor) and value.grad_fn is not None:
                vars(part)[name] = value.detach()
    return copy.deepcopy(module)
