"""What a recording is like, in numbers: peak, clipping, silence, noise floor, DC offset, channels that differ."""

from dataclasses import dataclass

import numpy as np

FRAME_SECONDS = 0.02
QUIETEST_DB = -120.0
"""What digital silence counts as (dBFS)."""
PAUSE_DB = 40.0
"""A frame this far below the loud ones (95 % quantile) is silence."""
SILENT_DB = -70.0
"""A frame below is silence in any case (dBFS)."""
FLAT = 2.0**-15
"""What counts as the same value where clipping is sought: a step of 16 bits."""
FLAT_SAMPLES = 3
"""Least number of equal samples at a recording's extreme that is a clipped top."""
CORNER = 8 * FLAT
"""A clipped top ends in a corner at least so high: the round top of a low tone, equal in 16 bits, does not."""


@dataclass(frozen=True)
class Measures:
    """Numbers of one stretch of a recording; levels are RMS relative to full scale (a full-scale sine has -3 dB)."""

    peak: float
    """Largest sample of any channel, full scale 1.0."""
    clipping: float
    """Share of the samples that lie in clipped tops."""
    silence: float
    """Share of the frames of 20 ms that are silent."""
    noise_floor: float
    """Level (dBFS) below which a twentieth of the frames lies; digital silence is no frame of it."""
    dc_offset: float
    """Largest mean of a channel (absolute)."""
    channel_correlation: float
    """Least correlation of two channels: 1 for one channel or equal ones, -1 where they cancel out, 0 where one is
    silent."""


def measure(wav: np.ndarray, sample_rate: int) -> Measures:
    """Measure samples ``(channels, T)``, full scale 1.0."""
    mean = wav.mean(axis=1, dtype=np.float64)
    levels = frame_levels(wav - mean[:, None].astype(np.float32), sample_rate)
    return Measures(
        peak=float(np.abs(wav).max()),
        clipping=max(_clipped(channel) for channel in wav),
        silence=_silence(levels),
        noise_floor=_noise_floor(levels),
        dc_offset=float(np.abs(mean).max()),
        channel_correlation=_correlation(wav, mean),
    )


def frame_levels(wav: np.ndarray, sample_rate: int, seconds: float = FRAME_SECONDS) -> np.ndarray:
    """Return the level (dBFS, mean power of the channels) of each frame of samples ``(channels, T)``; one at least."""
    size = min(frame_samples(sample_rate, seconds), wav.shape[1])
    frames = wav[:, : wav.shape[1] // size * size].reshape(len(wav), -1, size)
    power = np.square(frames, dtype=np.float32).mean(axis=(0, 2), dtype=np.float64)
    return 10 * np.log10(np.maximum(power, 10 ** (QUIETEST_DB / 10)))


def frame_samples(sample_rate: int, seconds: float) -> int:
    """Return the samples of a frame of about so many seconds."""
    return max(round(seconds * sample_rate), 1)


def _silence(levels: np.ndarray) -> float:
    return float((levels < max(np.quantile(levels, 0.95) - PAUSE_DB, SILENT_DB)).mean())


def _noise_floor(levels: np.ndarray) -> float:
    heard = levels[levels > QUIETEST_DB]
    return float(np.quantile(heard, 0.05)) if heard.size else QUIETEST_DB


def _clipped(channel: np.ndarray) -> float:
    """Return the share of samples in flat tops at the largest or the smallest value of a channel."""
    return (_flat_tops(channel) + _flat_tops(-channel)) / len(channel)


def _flat_tops(channel: np.ndarray) -> int:
    top = channel.max()
    if top <= 2 * CORNER:
        return 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], channel >= top - FLAT, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    outside = np.pad(channel, 1, mode="edge")
    corner = top - np.minimum(outside[starts], outside[ends + 1])
    return int((ends - starts)[(ends - starts >= FLAT_SAMPLES) & (corner > CORNER)].sum())


def _correlation(wav: np.ndarray, mean: np.ndarray) -> float:
    centred = wav - mean[:, None]
    power = np.square(centred).mean(axis=1)
    least = 1.0
    for one in range(len(wav)):
        for other in range(one):
            product = (centred[one] * centred[other]).mean()
            scale = np.sqrt(power[one] * power[other])
            both_silent = power[one] == power[other] == 0
            least = min(least, float(product / scale) if scale > 0 else float(both_silent))
    return least
