"""Long recordings block by block, at the wanted rate: an hour never lies in memory as a whole."""

import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from evagan_plugin.audio.archive import audio_file
from evagan_plugin.audio.io import RESAMPLE_OPTIONS, decoded, downmix, resample
from evagan_plugin.errors import EvaganError

BLOCK_SECONDS = 30.0


def read_blocks(path: str | Path, sample_rate: int, seconds: float = BLOCK_SECONDS) -> Iterator[np.ndarray]:
    """Yield a recording as blocks (T,), float32, full scale 1.0, the mean of all channels, at a sample rate.

    Joined they are what :func:`load_audio`, :func:`downmix` and :func:`resample` make of it.

    Args:
        path: What :func:`load_audio` takes.
        sample_rate: Wanted rate in Hz.
        seconds: Of a block, about.

    Raises:
        EvaganError: As :func:`load_audio`; of a file that is truncated, after the blocks that are there.
    """
    with audio_file(path) as file:
        blocks = decoded(file, seconds)
        begin, rate = next(blocks)
        mono = (_mono(block, file) for block in chain([begin], (block for block, _ in blocks)))
        yield from _resampled(mono, rate, sample_rate)


def _mono(block: np.ndarray, path: Path) -> np.ndarray:
    if not np.isfinite(block).all():
        raise EvaganError(f"{path}: samples are NaN or infinite")
    return downmix(np.ascontiguousarray(block.T))


def _resampled(blocks: Iterator[np.ndarray], sample_rate: int, new_sample_rate: int) -> Iterator[np.ndarray]:
    """Resample blocks as if they were one: each with what the filter sees beside it."""
    if sample_rate == new_sample_rate:
        yield from blocks
        return
    divisor = math.gcd(sample_rate, new_sample_rate)
    old, new = sample_rate // divisor, new_sample_rate // divisor
    seen = RESAMPLE_OPTIONS["lowpass_filter_width"] * old / (min(old, new) * RESAMPLE_OPTIONS["rolloff"])
    margin = (math.ceil(seen / old) + 1) * old  # whole periods, in which the filter's phases repeat
    held, left = np.empty(0, np.float32), 0  # the first `left` samples have been given out
    for block in blocks:
        waiting, held = len(held) - left, np.concatenate([held, block])
        count = min(waiting, len(held) - left - margin) // old * old  # of a block when the next is there
        if count <= 0:
            continue
        wav = resample(held[: left + count + margin], sample_rate, new_sample_rate)
        yield wav[left // old * new : (left + count) // old * new]
        kept = min(margin, left + count)
        held, left = held[left + count - kept :], kept
    if len(held) > left:
        yield resample(held, sample_rate, new_sample_rate)[left // old * new :]
