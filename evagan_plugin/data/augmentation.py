"""What is changed at random in a training item: level, pitch, smoothness of the mel."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from evagan_plugin.audio.io import resample
from evagan_plugin.audio.recording import Recording
from evagan_plugin.config import TrainingConfig
from evagan_plugin.errors import UsageError

LARGEST_TERM = 100
"""Ratios of pitches are rounded to fractions of whole numbers up to this, by less than a tenth of a semitone."""
MARGIN = 128
"""Samples that are resampled at either side of a stretch, so that the filter finds the recording there, not zeros."""


@dataclass(frozen=True)
class Change:
    """How one item is changed."""

    gain: float = 1.0
    """Factor of the samples."""
    speed: Fraction = Fraction(1)
    """Samples of the recording for a sample of the item: its frequencies times this."""
    smoothing: float = 0.0
    """Width of the smoothing of the mel (frames)."""

    def whole_frames(self, samples: int, hop_length: int) -> int:
        """Return the frames that a recording of so many samples has at this speed."""
        return int(samples / self.speed) // hop_length

    def stretch(self, wav: np.ndarray | Recording, first: int, samples: int) -> np.ndarray:
        """Return a stretch of a recording (T,), changed.

        Args:
            wav: The recording (T,), or one that reads what is cut out of it.
            first: Where it begins, in samples of the result.
            samples: How long it is at most; shorter where the recording ends.

        Returns:
            np.ndarray: The samples (up to ``samples``,), of magnitude 1 at most or that of the recording.
        """
        if self.speed == 1:
            stretch = wav[first : first + samples]
        else:
            begin = max(round(first * self.speed) - MARGIN, 0)
            end = round((first + samples) * self.speed) + MARGIN
            skipped = first - round(begin / self.speed)
            faster = resample(wav[begin:end], self.speed.numerator, self.speed.denominator)
            stretch = faster[skipped : skipped + samples]
        if self.gain == 1:
            return stretch
        peak = float(np.abs(stretch).max(initial=0.0))
        return stretch * np.float32(min(self.gain, 1 / min(peak, 1.0))) if peak else stretch


@dataclass(frozen=True)
class Augmentation:
    """Draws the change of each item.

    Args:
        training: Whose ``gain_db``, ``pitch_shift`` and ``mel_smoothing`` are in force.
    """

    training: TrainingConfig

    def draw(self, number: int) -> Change:
        """Return the change that follows from an item's random number."""
        generator = np.random.default_rng(number)
        # All three in any case, so that one of them does not change with the others.
        decibels, semitones, width = (
            generator.uniform(*(limits or (0.0, 0.0)))
            for limits in (self.training.gain_db, self.training.pitch_shift, (0.0, self.training.mel_smoothing))
        )
        speed = Fraction(2 ** (semitones / 12)).limit_denominator(LARGEST_TERM)
        return Change(10 ** (decibels / 20), speed, width)


def refuse_given_mels(training: TrainingConfig, mels: str) -> None:
    """Refuse options that change the waveform where the mels are given: these would stay as they are.

    Args:
        training: The options.
        mels: Where the mels are from, for the error.

    Raises:
        UsageError: Naming the options.
    """
    if names := training.changes_audio:
        options = " and ".join(f"training.{name}" for name in names)
        raise UsageError(f"{mels}: mels that are given cannot follow {options}: leave {options} out, or the mels")
