"""The one contract of every discriminator: a waveform in, logits and feature maps out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from evagan_plugin.model.activation import Activation
from evagan_plugin.model.init import initialized


def channels_last_is_faster(device: torch.device, wide: bool) -> bool:
    """Whether convolutions run with channels innermost: where that was measured to be faster.

    That is on x86 processors without AVX-512, on spectrograms (``wide``: convolved along both axes); with AVX-512, and
    on folded waveforms, it is slower by a tenth to a third (``python -m evagan_plugin.benchmark training``).
    """
    return wide and device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2"


class DiscriminatorOutput(NamedTuple):
    """Scores and feature maps of a batch of waveforms, from one sub-discriminator."""

    logits: Tensor
    """Scores (B, N); towards 1 for real, towards 0 for generated."""
    feature_maps: list[Tensor]
    """Output of every layer after its activation, and the scores before they are flattened."""

    def half(self, index: int) -> DiscriminatorOutput:
        """Return the first (0) or second (1) half of the batch."""
        return DiscriminatorOutput(self.logits.chunk(2)[index], [x.chunk(2)[index] for x in self.feature_maps])


class SubDiscriminator(nn.Module):
    """A stack of weight-normalised 2-D convolutions with activations between them, on one view of the waveform.

    Args:
        layers: The convolutions; the last one gives the scores.
        activation: Activation between them.
    """

    wide = False
    """Whether the view is convolved along both axes."""

    def __init__(self, layers: list[nn.Conv2d], activation: str) -> None:
        super().__init__()
        self.channels_last: bool | None = None
        """Memory format of the convolutions after the first; None: what is faster."""
        self.activation = Activation(activation)
        powers = [1.0] + [self.activation.power] * (len(layers) - 1)
        self.layers = nn.ModuleList(map(initialized, layers, powers))

    def view(self, wav: Tensor) -> Tensor:
        """Lay waveforms (B, 1, T) out as images (B, 1, H, W)."""
        raise NotImplementedError

    def forward(self, wav: Tensor) -> DiscriminatorOutput:
        """Score waveforms (B, 1, T)."""
        x = self.view(wav)
        feature_maps = []
        last = channels_last_is_faster(wav.device, self.wide) if self.channels_last is None else self.channels_last
        for layer in self.layers[:-1]:
            x = layer(x)
            if last:
                x = x.contiguous(memory_format=torch.channels_last)
            x = self.activation(x)
            feature_maps.append(x)
        x = self.layers[-1](x)
        return DiscriminatorOutput(x.flatten(1), [*feature_maps, x])


class DiscriminatorGroup(nn.Module):
    """Sub-discriminators of one kind."""

    def __init__(self, members: list[SubDiscriminator]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, wav: Tensor) -> list[DiscriminatorOutput]:
        """Score waveforms (B, 1, T), once per member."""
        return [member(wav) for member in self.members]

    def forward_pair(self, real: Tensor, fake: Tensor) -> tuple[list[DiscriminatorOutput], list[DiscriminatorOutput]]:
        """Score real and generated waveforms (B, 1, T) in one pass, as data-parallel wrappers want it."""
        both = self(torch.cat([real, fake]))
        return [output.half(0) for output in both], [output.half(1) for output in both]
