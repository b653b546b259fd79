"""Streams: what the parts of a generator keep from one chunk to the next, so that nothing is computed twice.

Every part has one ``forward``, for whole utterances and for the chunks of a stream: what differs are the edges, which
are None for whole utterances and a :class:`Past` here. A layer that sees ahead gives its last steps out only when it
has seen what they need; what comes beside it waits; and the zeros before the beginning and after the end are those of
the whole utterance.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

State = tuple[Tensor, ...]
"""What the layers keep, in the order in which they are called; each tensor (B, ..., steps) but for those of size 1."""


class Past:
    """What layers kept of earlier chunks, read by each in turn, and what they keep for the next one.

    Shapes follow from those of state and chunk alone; with chunks of one length they stay the same once audio comes.

    Args:
        state: What the step before left; None at the beginning.
        last: Whether nothing follows, so that each layer goes on to its end.
    """

    def __init__(self, state: State | None, last: bool = False) -> None:
        self._before = None if state is None else iter(state)
        self._after: list[Tensor] = []
        self._last = last

    @property
    def state(self) -> State:
        """What the next step goes on from, after all layers were called."""
        return tuple(self._after)

    def extended(self, x: Tensor, lookback: int, lookahead: int) -> Tensor:
        """Return a chunk with what a convolution still needs of the steps before it.

        Args:
            x: Input of the convolution (..., T).
            lookback: Steps before its own that an output sees: zeros before the first.
            lookahead: Steps after its own that an output sees: zeros after the last.

        Returns:
            Tensor: (..., T'), of which T' - lookback - lookahead outputs come, none if that is not positive.
        """
        if not lookback + lookahead:
            return x
        x = F.pad(x, (lookback, 0)) if self._before is None else _joined(next(self._before), x)
        if self._last:
            x = F.pad(x, (0, lookahead))
        self._keep(x, lookback + lookahead)
        return x

    def overlapped(self, y: Tensor, first: int, tail: int) -> Tensor:
        """Return the steps that are complete, where each chunk's last ones go on in the next.

        Args:
            y: What this chunk gives (..., T + tail); the last ``tail`` steps are not complete yet.
            first: Steps at the very beginning that are left out; as many of the tail belong to the end.
            tail: Steps that two chunks have in common.
        """
        if not tail:
            return y
        # Kept are the tail and, before it, up to `first` steps: fewer while fewer have come, as the shape tells.
        before = y.new_zeros(*y.shape[:-1], tail) if self._before is None else next(self._before)
        left_out = before.shape[-1] - tail
        common = y[..., :tail] + before[..., left_out:]
        y = torch.cat([before[..., :left_out], common, y[..., tail:]], dim=-1)
        self._keep(y, first + tail)
        return y[..., first : y.shape[-1] - tail + (first if self._last else 0)]

    def aligned(self, terms: Sequence[Tensor]) -> list[Tensor]:
        """Return as many steps of each term (..., T) as there are of all; the others wait for theirs."""
        if self._before is not None:
            terms = [_joined(next(self._before), term) for term in terms]
        steps = min(term.shape[-1] for term in terms)
        for term in terms:
            self._keep(term, term.shape[-1] - steps)
        return [term if term.shape[-1] == steps else term[..., :steps] for term in terms]

    def _keep(self, x: Tensor, steps: int) -> None:
        # Not a view, which would keep the whole chunk.
        kept = x[..., max(x.shape[-1] - steps, 0) :].clone() if steps else x.new_empty(*x.shape[:-1], 0)
        self._after.append(kept)


def _joined(before: Tensor, x: Tensor) -> Tensor:
    return torch.cat([before, x], dim=-1) if before.shape[-1] else x
