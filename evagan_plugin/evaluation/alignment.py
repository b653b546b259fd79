"""Delay between two signals: PESQ hides it (4.6 at 10 ms), spectral distances do not, so it is looked for first."""

import math
from dataclasses import dataclass

import numpy as np

SEARCH_SECONDS = 0.05
NOTED_SECONDS = 0.001
"""Shorter delays are not worth a line."""
CLEAR = 0.5
"""Correlation from which two waveforms count as one signal: below, as after a vocoder that is free to choose the
phase, the place of the peak says nothing about delay."""
ADVANTAGE = 0.05
"""By how much the shifted correlation must pass the unshifted one."""


@dataclass(frozen=True)
class Alignment:
    """Where the cross-correlation of hypothesis with reference peaks."""

    delay: int
    """Samples by which the hypothesis comes late; negative if early."""
    correlation: float
    """Normalised correlation at that delay, in [-1, 1]; negative if the polarity is inverted."""
    at_zero: float = math.nan
    """Normalised correlation without shift; ``scores.json`` does not have it."""

    def note(self, sample_rate: int) -> str | None:
        """Say in one line what is wrong with the alignment, or None."""
        if abs(self.correlation) < CLEAR:
            return None
        parts = []
        if abs(self.delay) >= NOTED_SECONDS * sample_rate and abs(self.correlation) - abs(self.at_zero) >= ADVANTAGE:
            side = "late" if self.delay > 0 else "early"
            milliseconds = 1000 * abs(self.delay) / sample_rate
            parts.append(f"{side} by {abs(self.delay)} samples ({milliseconds:.1f} ms)")
        if self.correlation < 0:
            parts.append("polarity inverted")
        return ", ".join(parts) or None


def align(reference: np.ndarray, hypothesis: np.ndarray, sample_rate: int) -> Alignment:
    """Find the delay of ``hypothesis (T,)`` against ``reference (T,)`` within 50 ms by cross-correlation."""
    size = 1 << (2 * reference.size - 1).bit_length()
    spectrum = np.fft.rfft(hypothesis, size) * np.conj(np.fft.rfft(reference, size))
    correlation = np.fft.irfft(spectrum, size)
    norm = float(np.linalg.norm(reference) * np.linalg.norm(hypothesis))
    if norm == 0.0:
        return Alignment(0, 0.0, 0.0)
    reach = min(int(SEARCH_SECONDS * sample_rate), reference.size - 1)
    window = np.concatenate([correlation[size - reach :], correlation[: reach + 1]]) / norm
    peak = int(np.argmax(np.abs(window)))
    return Alignment(peak - reach, float(window[peak]), float(window[reach]))
