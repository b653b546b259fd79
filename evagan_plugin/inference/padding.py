"""Which utterances are synthesised together: those of about the same length, so that little of a batch is padding."""

from collections.abc import Iterator, Sequence

from evagan_plugin.errors import UsageError

USUAL_FRAMES = 512
"""A batch takes as many mel frames as if each of its utterances had so many: of longer ones it has fewer."""


def batches(frames: Sequence[int], batch_size: int, padded: bool = True) -> Iterator[list[int]]:
    """Yield the utterances of each batch, the longest first.

    Args:
        frames: Mel frames of each utterance.
        batch_size: Utterances in a batch at most.
        padded: Whether utterances of different lengths go together, padded to the longest.

    Yields:
        list: Positions in ``frames``; each is in one batch.

    Raises:
        UsageError: If the batch size is not positive.
    """
    if batch_size < 1:
        raise UsageError(f"batch size {batch_size}: 1 at least")
    batch: list[int] = []
    for index in sorted(range(len(frames)), key=lambda index: -frames[index]):
        if batch:
            longest = frames[batch[0]]
            full = len(batch) == batch_size or (len(batch) + 1) * longest > batch_size * USUAL_FRAMES
            if full or (frames[index] != longest and not padded):
                yield batch
                batch = []
        batch.append(index)
    if batch:
        yield batch
