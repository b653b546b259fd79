"""What a layer finds beyond the two ends of its input: zeros, the other chunks of a stream, or a batch's padding."""

import functools
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from evagan_plugin.model.streaming import Past


class Padding:
    """A batch of utterances of several lengths, each of which sounds as it does alone.

    An utterance alone has zeros after its end in every layer. Here layers go on to the end of the longest, and what
    they make of the padding is no part of anybody's waveform; so whatever a layer sees ahead is set to zero before it
    looks. That is a few steps of each utterance, in place, not a pass over the tensor.

    Args:
        frames: Mel frames of each utterance; the batch has as many as the longest.
        device: Where the batch is.
    """

    def __init__(self, frames: Sequence[int], device: torch.device) -> None:
        self._frames, self._device = tuple(frames), device
        self._places: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def cleared(self, x: Tensor, lookahead: int) -> Tensor:
        """Set to zero, in place, what the last outputs of each utterance see after its end.

        Args:
            x: (B, C, T), T a multiple of the longest's frames.
            lookahead: Steps after its own that an output sees.

        Returns:
            Tensor: ``x``.
        """
        if lookahead:
            items, steps = self._after_the_ends(x.shape[-1], lookahead)
            x[items, :, steps] = 0.0
        return x

    def _after_the_ends(self, length: int, lookahead: int) -> tuple[Tensor, Tensor]:
        """Return item and step of every place to be cleared; many layers have the same ones."""
        if (length, lookahead) not in self._places:
            rate = length // max(self._frames)
            ends = [(item, frames * rate) for item, frames in enumerate(self._frames)]
            places = [(item, step) for item, end in ends for step in range(end, min(end + lookahead, length))]
            found = torch.tensor(places, dtype=torch.long).view(-1, 2).to(self._device)
            self._places[length, lookahead] = found[:, 0], found[:, 1]
        return self._places[length, lookahead]


Edges = Past | Padding
"""Of a stream, or of a padded batch; None stands for whole utterances of one length."""


def added(edges: Edges | None, terms: Iterable[Tensor]) -> Tensor:
    """Return the sum of tensors (..., T); in a stream, of the steps that have come of all of them."""
    return functools.reduce(torch.add, edges.aligned(list(terms)) if isinstance(edges, Past) else terms)
