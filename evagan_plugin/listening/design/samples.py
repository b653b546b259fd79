"""Audio of a listening test: cut, levelled, low-passed for the anchor, and written so that it tells nothing."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evagan_plugin.audio.io import load_mono, read_header, save_audio
from evagan_plugin.audio.loudness import loudness_of
from evagan_plugin.errors import EvaganError, UsageError, require

FRAME_SECONDS = 0.02
SHORTEST_SHARE = 0.75
"""A cut passage is at least this part of the longest one allowed."""
FADE_SECONDS = 0.01
PEAK_CEILING_DB = -1.0
"""No sample value goes above this (dB relative to full scale)."""
LENGTH_TOLERANCE = 0.1
"""Seconds by which a system's utterance may differ in length from the reference's."""
ANCHOR_EDGE_HZ = 3500.0
BEEP_HZ = 1000.0
BEEP_SECONDS = 0.15
BEEP_EVERY_SECONDS = 0.4


@dataclass(frozen=True)
class Levelled:
    """Samples of one item with what was done to their level."""

    wavs: dict[str, np.ndarray]
    """``(T,)`` each, by system name."""
    loudness: dict[str, float]
    """Integrated loudness before (LUFS); minus infinity for silence."""
    gain_db: dict[str, float]
    """What was done to each."""
    lowered_db: float
    """Part of the gains that all have in common, so that none clips; 0 or more."""


def rate_of(path: Path) -> int:
    """Return the sample rate (Hz) that the file's header states."""
    return read_header(path).sample_rate


def choose_passage(wav: np.ndarray, sample_rate: int, max_seconds: float) -> tuple[int, int]:
    """Return the bounds (samples) of the passage that is heard: all of it, or its liveliest part of about the length.

    A long utterance is cut where its level is low, so that words and notes stay whole.

    Args:
        wav: Samples ``(T,)``.
        sample_rate: In Hz.
        max_seconds: Length of the longest passage.
    """
    frame = max(1, int(FRAME_SECONDS * sample_rate))
    if len(wav) <= max_seconds * sample_rate:
        return 0, len(wav)
    frames = len(wav) // frame
    power = np.square(wav[: frames * frame].astype(np.float64)).reshape(frames, frame).mean(axis=1)
    level = np.maximum(10 * np.log10(power + 1e-12), -80.0)
    longest = int(max_seconds * sample_rate) // frame
    shortest = max(1, int(SHORTEST_SHARE * longest))
    before = np.concatenate([[0.0], np.cumsum(level)])
    # Ends of the recording are as good as silence.
    edge = np.concatenate([[-80.0], np.minimum(level[:-1], level[1:]), [-80.0]])
    best, bounds = -math.inf, (0, longest)
    for length in range(shortest, longest + 1):
        starts = np.arange(frames - length + 1)
        inside = (before[starts + length] - before[starts]) / length
        score = inside - np.maximum(edge[starts], edge[starts + length]) + length / longest
        winner = int(score.argmax())
        if score[winner] > best:
            best, bounds = float(score[winner]), (winner, winner + length)
    return bounds[0] * frame, bounds[1] * frame


def load_passage(path: Path, sample_rate: int, start: float, samples: int, expected_seconds: float) -> np.ndarray:
    """Read a passage of ``samples`` samples at ``start`` seconds, padded at the end by what little may lack.

    Args:
        path: Audio file.
        sample_rate: Rate to read it at (Hz).
        start: Where the passage begins (seconds).
        samples: Length of the passage at ``sample_rate``.
        expected_seconds: Length of the whole reference utterance.

    Raises:
        UsageError: If the file is longer or shorter than the reference by more than :data:`LENGTH_TOLERANCE`.
    """
    wav = load_mono(path, sample_rate)
    seconds = len(wav) / sample_rate
    if abs(seconds - expected_seconds) > LENGTH_TOLERANCE:
        raise UsageError(
            f"{path}: {seconds:.2f} s long, its reference {expected_seconds:.2f} s: not the same utterance?"
        )
    begin = round(start * sample_rate)
    passage = wav[begin : begin + samples]
    return np.pad(passage, (0, samples - len(passage)))


def fade_edges(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the passage with both ends faded over 10 ms, so that a cut does not click."""
    length = min(int(FADE_SECONDS * sample_rate), len(wav) // 2)
    if not length:
        return wav
    ramp = np.sin(np.linspace(0, np.pi / 2, length, dtype=np.float32)) ** 2
    faded = wav.copy()
    faded[:length] *= ramp
    faded[-length:] *= ramp[::-1]
    return faded


def level(wavs: dict[str, np.ndarray], sample_rate: int, target: float | None, lowered_db: float = 0.0) -> Levelled:
    """Bring all systems of an item to one loudness, and all together down where one would clip.

    Args:
        wavs: Samples ``(T,)`` by system name.
        sample_rate: In Hz.
        target: Integrated loudness (LUFS); ``None`` leaves levels alone but for the common protection from clipping.
            Silence is left as it is.
        lowered_db: Lower all of them by at least this much.
    """
    loudness = {name: loudness_of(wav, sample_rate) for name, wav in wavs.items()}
    gains = {name: 0.0 if target is None or math.isinf(loudness[name]) else target - loudness[name] for name in wavs}
    peaks = [
        20 * math.log10(peak) + gains[name] for name, wav in wavs.items() if (peak := float(np.abs(wav).max())) > 0
    ]
    ceiling = PEAK_CEILING_DB if target is not None else 0.0
    excess = max(lowered_db, max(peaks, default=-math.inf) - ceiling)
    gains = {name: gain - excess for name, gain in gains.items()}
    levelled = {name: (wav * 10 ** (gains[name] / 20)).astype(np.float32) for name, wav in wavs.items()}
    return Levelled(levelled, loudness, gains, excess)


def low_anchor(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the low-passed anchor of ITU-R BS.1534-3, section 5.1: flat to 3.5 kHz, 25 dB down at 4, 50 dB at 4.5 kHz.

    Raises:
        UsageError: If the sample rate leaves nothing above the edge to remove.
    """
    if sample_rate < 10_000:
        raise UsageError(
            f"the 3.5 kHz anchor needs audio above 10 kHz sample rate, not {sample_rate} Hz: use --no-anchor"
        )
    signal = require("scipy.signal", "listen")
    taps, beta = signal.kaiserord(60.0, 500.0 / (sample_rate / 2))
    kernel = signal.firwin(taps | 1, ANCHOR_EDGE_HZ + 250.0, window=("kaiser", beta), fs=sample_rate)
    return signal.fftconvolve(wav, kernel, mode="same").astype(np.float32)


def most_beeps(seconds: float) -> int:
    """How many countable beeps fit in the second half of a passage."""
    return int((seconds / 2 - 0.1) / BEEP_EVERY_SECONDS)


def with_beeps(wav: np.ndarray, sample_rate: int, beeps: int) -> np.ndarray:
    """Return the passage with its second half replaced by that many beeps, at a level in keeping with the rest."""
    time = np.arange(int(BEEP_SECONDS * sample_rate)) / sample_rate
    peak = min(0.5, 2 * float(np.sqrt(np.mean(np.square(wav, dtype=np.float64)))) + 0.02)
    beep = fade_edges((peak * np.sin(2 * np.pi * BEEP_HZ * time)).astype(np.float32), sample_rate)
    middle = len(wav) // 2
    checked = np.concatenate([fade_edges(wav[:middle], sample_rate), np.zeros(len(wav) - middle, dtype=np.float32)])
    for number in range(beeps):
        start = middle + int((0.1 + number * BEEP_EVERY_SECONDS) * sample_rate)
        checked[start : start + len(beep)] = beep
    return checked


def write_sample(path: Path, wav: np.ndarray, sample_rate: int) -> None:
    """Write 16-bit WAV: samples of equal length have files of equal size, whoever made them.

    Raises:
        EvaganError: If a value is beyond full scale.
    """
    clipped = save_audio(path, wav, sample_rate, subtype="PCM_16")
    if clipped:
        raise EvaganError(f"{path}: {clipped} samples would clip")
