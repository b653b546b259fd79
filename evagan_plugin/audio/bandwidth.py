"""The true bandwidth of a recording, and whether a codec, a low-pass filter or an upsampler cut it.

A cut leaves an edge in the long-term spectrum: a fall of many decibels within a few hundred hertz, and above it
nothing but a floor. A spectrum that falls by itself, of a voice or an instrument, has no such edge; its bandwidth is
where it has fallen into the noise.
"""

from dataclasses import dataclass

import numpy as np

FRAME_SECONDS = 0.093
"""Length of an analysis frame, rounded to a power of two: bins of 11 Hz at 44.1 kHz."""
FRAMES = 2048
"""Frames that are looked at, evenly spread: bounded work whatever the length."""
ACTIVE_DB = 40.0
"""Frames this far below the loudest (95 % quantile) are pauses, which are left out."""
GRID_HZ = 25.0
"""Step of the smoothed spectrum that the edge is sought in."""
ENVELOPE_HZ = 200.0
"""Width of the running maximum that bridges the gaps between harmonics."""
GAP_HZ = 150.0
"""What lies between the two sides of an edge: its own width."""
SIDE_HZ = 300.0
"""Width of each side."""
TREND_HZ = 1200.0
"""How far the slope of a side is followed: what a spectrum would have fallen by itself is no part of an edge."""
EDGE_DB = 10.0
"""Least fall of an edge beyond the trend of its surroundings."""
LOWEST_EDGE = 1500.0
"""Hz; below, a voice by itself falls as steeply."""
ABOVE_FLOOR_DB = 5.0
"""What stands out of the floor by less is floor."""
NATURAL_RANGE_DB = 65.0
"""Range below the spectrum's peak that counts as sound where no edge is found and the noise begins lower."""
FLAT_DB = 10.0
"""What lies above an edge may rise over its beginning by so much."""
EVEN_DB = 8.0
"""A floor, of rounding or dither, is level to within so much; the fading rest of a voice is not."""
EVEN_HZ = 500.0
"""Width of the running median in which that is looked at."""
DEEP_DB = 35.0
"""A fall that needs no level floor after it: no voice falls so far at once."""
INAUDIBLE_DB = -120.0
"""What lies lower (per bin, a full-scale sine being 0 dB) is nothing, level or not."""
LINE_HZ = 250.0
"""So much of what lies above an edge may be louder: one line, of a power supply or a screen."""
LOW_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100)
"""Rates (Hz) that audio is brought up from, whose mirror images are sought."""
NEAR_IMAGE = 0.06
"""Next to half the low rate, as far as this part of it, filters may have left nothing to compare."""
IMAGE_HZ = 600.0
"""Least width of the stretches on both sides of half a low rate that are compared."""
IMAGE_CORRELATION = 0.5
"""Correlation of fine structure from which one side is the other's image; unrelated sound has about 0."""
WHOLE_BAND = 0.965
"""An edge this close to half the sample rate is that of the converter's own filter: nothing was lost."""


@dataclass(frozen=True)
class Band:
    """What a spectrum says about where a recording ends."""

    bandwidth: float
    """Highest frequency with sound (Hz); 0 for silence."""
    edge_db: float
    """Fall at that frequency beyond what the surroundings fall by themselves (dB); 0 where there is no edge."""
    cut_by: str | None
    """``edge``: cut by a codec, a filter or a good upsampler; ``images``: brought up from a lower rate by a poor one,
    which leaves mirror images above; None: the sound fades by itself, or fills the band."""


def measure_band(wav: np.ndarray, sample_rate: int, bits: int | None = None) -> Band:
    """Find where the sound of a recording ends.

    Args:
        wav: Samples ``(channels, T)``, full scale 1.0.
        sample_rate: In Hz.
        bits: Of the integers that the file holds (their rounding noise is no sound); None for floats and codecs.
    """
    power = active_frames(wav, sample_rate)
    if power is None:
        return Band(0.0, 0.0, None)
    if mirror := _mirror(power, sample_rate):
        return Band(mirror, 0.0, "images")
    grid, level = _on_grid(power.mean(axis=0, dtype=np.float64), sample_rate)
    envelope = _running(level, round(ENVELOPE_HZ / GRID_HZ), np.max)
    body = _running(level, round(ENVELOPE_HZ / GRID_HZ), np.median)
    place, fall = max((_edge(grid, curve, envelope) for curve in (envelope, body)), key=lambda found: found[1])
    if fall < EDGE_DB:
        return Band(_natural_end(grid, level, envelope, sample_rate, bits), 0.0, None)
    return Band(place, float(fall), "edge" if place < WHOLE_BAND * sample_rate / 2 else None)


def active_frames(wav: np.ndarray, sample_rate: int) -> np.ndarray | None:
    """Return power spectra ``(frames, bins)`` of the frames that sound, relative to a full-scale sine; None in silence.

    Frames with samples at full scale are left out where others remain: clipping, also of a decoder's output, throws
    sound over the whole band.
    """
    size = frame_size(sample_rate)
    padded = np.pad(wav, ((0, 0), (0, max(0, size - wav.shape[1]))))
    starts = np.arange(0, padded.shape[1] - size + 1, size // 2)
    starts = starts[:: -(-len(starts) // FRAMES)]
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    power = np.zeros((len(starts), size // 2 + 1), np.float32)
    clipped = np.zeros(len(starts), bool)
    for channel in padded:
        frames = np.lib.stride_tricks.sliding_window_view(channel, size)[starts]
        power += np.abs(np.fft.rfft(frames * window)) ** 2 * np.float32(16 / size**2 / len(padded))
        clipped |= np.abs(frames).max(axis=1) >= 0.9999
    loudness = power.sum(axis=1)
    if clipped.mean() < 0.8:
        power, loudness = power[~clipped], loudness[~clipped]
    top = np.quantile(loudness, 0.95)
    return power[loudness >= top * 10 ** (-ACTIVE_DB / 10)] if top > 0 else None


def frame_size(sample_rate: int) -> int:
    """Return the samples of an analysis frame."""
    return 2 ** round(np.log2(FRAME_SECONDS * sample_rate))


def _mirror(power: np.ndarray, sample_rate: int) -> float | None:
    """Return the frequency (Hz) above which the spectrum is an image of what lies below; None if there is none.

    A short or linear interpolation leaves images: each frame has at N + d what it has at N - d, weaker.
    """
    width = power.shape[1] - 1
    for rate in LOW_RATES:
        middle = rate / sample_rate * width  # bins
        near = round(NEAR_IMAGE * middle)
        reach = round(max(IMAGE_HZ / (sample_rate / 2) * width, 0.1 * middle))
        if middle + near + reach >= width or middle - near - reach < 1:
            continue
        upper = int(middle) + np.arange(near + 1, near + reach)
        below, above = power[:, round(2 * middle) - upper], power[:, upper]
        # An image is weaker than what it is an image of.
        if above.mean() < below.mean() and (_fine(below) * _fine(above)).mean() > IMAGE_CORRELATION:
            return rate / 2
    return None


def _fine(power: np.ndarray) -> np.ndarray:
    """Return the fine structure of spectra, of mean 0 and variance 1: without what is steady, and without envelope."""
    level = np.log(power + 1e-15)
    level = level - level.mean(axis=0)
    means = np.cumsum(np.pad(level, ((0, 0), (11, 10)), mode="edge"), axis=1)
    level = level - (means[:, 21:] - means[:, :-21])[:, : level.shape[1]] / 21 if level.shape[1] > 21 else level
    return (level - level.mean()) / (level.std() + 1e-9)


def _on_grid(spectrum: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the centres (Hz) of bands of :data:`GRID_HZ` and the level of each (dB)."""
    frequencies = np.linspace(0, sample_rate / 2, len(spectrum))
    bands = (frequencies / GRID_HZ).astype(int)
    count = np.bincount(bands)
    mean = np.bincount(bands, spectrum) / np.maximum(count, 1)
    kept = count > 0
    return (np.flatnonzero(kept) + 0.5) * GRID_HZ, 10 * np.log10(mean[kept] + 1e-18)


def _running(level: np.ndarray, width: int, statistic) -> np.ndarray:
    width |= 1
    padded = np.pad(level, width // 2, mode="edge")
    return statistic(np.lib.stride_tricks.sliding_window_view(padded, width), axis=-1)


def _edge(grid: np.ndarray, level: np.ndarray, envelope: np.ndarray) -> tuple[float, float]:
    """Return place (Hz) and fall (dB, beyond the trend) of the sharpest edge with nothing above it; (0, 0) if none."""
    gap, side, trend = (round(width / GRID_HZ) for width in (GAP_HZ, SIDE_HZ, TREND_HZ))
    means = np.concatenate([[0.0], np.cumsum(level)])
    line = round(LINE_HZ / GRID_HZ)
    unevenness = _unevenness(level)
    best = (0.0, 0.0)
    first = max(round(LOWEST_EDGE / GRID_HZ), gap + side)
    for at in range(first, len(level) - gap - side // 3):
        low, high = at - gap, at + gap
        reach = min(side, len(level) - high)
        below = (means[low] - means[low - side]) / side
        above = (means[high + reach] - means[high]) / reach
        fall = below - above
        if fall < EDGE_DB or np.count_nonzero(envelope[high + line :] > above + min(fall / 2, FLAT_DB)) > line:
            continue
        if fall < DEEP_DB and above > INAUDIBLE_DB and unevenness[high] > EVEN_DB:
            continue
        slope = max(_slope(means, low - trend, low, side), 0) + max(_slope(means, high, high + trend, side), 0)
        excess = fall - slope / 2 * (2 * gap + side)
        if excess > best[1]:
            best = (_crossing(grid, level, at, gap, (below + above) / 2), excess)
    return best


def _unevenness(level: np.ndarray) -> np.ndarray:
    """Return by how much (dB) what lies above each place differs, up to where converters begin to filter."""
    smooth = _running(level, round(EVEN_HZ / GRID_HZ), np.median)
    last = int(0.95 * len(smooth))
    smooth[last:] = smooth[last - 1]
    return np.maximum.accumulate(smooth[::-1])[::-1] - np.minimum.accumulate(smooth[::-1])[::-1]


def _slope(means: np.ndarray, start: int, end: int, side: int) -> float:
    """Return the fall per band between the two ends of a stretch; 0 if it is too short to tell."""
    start, end = max(start, 0), min(end, len(means) - 1)
    if end - start < 2 * side:
        return 0.0
    first = (means[start + side] - means[start]) / side
    last = (means[end] - means[end - side]) / side
    return (first - last) / (end - start - side)


def _crossing(grid: np.ndarray, level: np.ndarray, at: int, gap: int, middle: float) -> float:
    """Return where the level falls through the middle for the last time around an edge."""
    around = slice(at - gap, min(at + gap, len(level)))
    over = np.flatnonzero(level[around] > middle)
    return float(grid[around][over[-1] if over.size else gap])


def _natural_end(
    grid: np.ndarray, level: np.ndarray, envelope: np.ndarray, sample_rate: int, bits: int | None
) -> float:
    """Return the highest frequency that stands out of the floor, or of what a listener could hear of the sound."""
    top = level[grid > 0.96 * sample_rate / 2]
    floor = np.median(top) if top.size else level.min()
    rounding = rounding_level(sample_rate, bits)
    peak = envelope.max()
    out = (level > floor + ABOVE_FLOOR_DB) | ((level > peak - NATURAL_RANGE_DB) & (level > rounding + 7.0))
    found = np.flatnonzero(_running(out.astype(float), 3, np.median) > 0)
    return float(min(grid[found[-1]] + GRID_HZ / 2, sample_rate / 2)) if found.size else 0.0


def rounding_level(sample_rate: int, bits: int | None) -> float:
    """Return the level (dB, as :func:`active_frames`) of the noise of rounding to integers; -inf without any."""
    # Steps of 2^(1 - bits) have the power of their square / 12, in all bins alike; Hann's window lets 1.5 / 4 through.
    step = 0.0 if bits is None else 2.0 ** (1 - bits)
    return float(10 * np.log10(16 * 0.375 * step**2 / 12 / frame_size(sample_rate))) if step else -np.inf
