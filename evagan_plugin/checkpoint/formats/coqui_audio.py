"""The ``audio`` section of Coqui TTS in our terms: its mel, and its normalisation to a range.

The converter of its published checkpoints and the adapter for its trainer and synthesizer both read it here.
"""

import math
from collections.abc import Mapping
from typing import Any

from evagan_plugin.checkpoint.formats.fields import take, take_only
from evagan_plugin.errors import ConfigError

LOGS = {"np.log": ("ln", math.e), "np.log10": ("log10", 10.0)}
"""Our name and the base of each logarithm."""
FLOOR = 1e-8
"""What Coqui TTS clamps band magnitudes to before the logarithm."""
DEFAULTS = {
    "fft_size": 1024, "win_length": 1024, "hop_length": 256, "frame_length_ms": None, "frame_shift_ms": None,
    "stft_pad_mode": "reflect", "sample_rate": 22050, "preemphasis": 0.0, "num_mels": 80, "mel_fmin": 0.0,
    "mel_fmax": None, "log_func": "np.log10", "spec_gain": 20, "do_amp_to_db_mel": True, "signal_norm": True,
    "ref_level_db": 20, "min_level_db": -100, "symmetric_norm": True, "max_norm": 4.0, "clip_norm": True,
    "stats_path": None,
}  # fmt: skip
"""What Coqui TTS takes where its ``audio`` section leaves a field out."""


NUMBERS = "sample_rate", "preemphasis", "mel_fmin", "spec_gain", "ref_level_db", "min_level_db", "max_norm"


def mel_settings(audio: Mapping[str, Any]) -> dict[str, Any]:
    """Return our mel settings for an ``audio`` section: its mels before they are normalised.

    Normalisation to a range also clips: that is a higher floor, and a ceiling at ``ref_level_db``.

    Raises:
        ConfigError: If it says what a :class:`MelConfig` cannot: linear mels, another logarithm or padding.
    """
    audio = _completed(audio)
    take_only(audio, "audio", do_amp_to_db_mel=True, stft_pad_mode="reflect")
    if audio["log_func"] not in LOGS:
        raise ConfigError(
            f"audio.log_func is {audio['log_func']!r}: only {' and '.join(LOGS)} can be converted", "audio.log_func"
        )
    log, base = LOGS[audio["log_func"]]
    gain, floor, ceiling = take(audio, "spec_gain", "audio"), FLOOR, None
    if not gain > 0:
        raise ConfigError(f"audio.spec_gain is {gain}: a number above 0 is expected", "audio.spec_gain")
    if audio["signal_norm"] and audio["clip_norm"] and not audio["stats_path"]:
        floor = max(floor, base ** ((audio["min_level_db"] + audio["ref_level_db"]) / gain))
        ceiling = base ** (audio["ref_level_db"] / gain)
    win_length, hop_length = _frame(audio)
    return {
        "sample_rate": audio["sample_rate"],
        "n_fft": audio["fft_size"],
        "hop_length": hop_length,
        "win_length": win_length,
        "n_mels": audio["num_mels"],
        "f_min": audio["mel_fmin"],
        "f_max": audio["mel_fmax"],
        "center": True,
        # So little that a magnitude stays as it is, and enough for the root to have a gradient in digital silence.
        "power_add": 1e-20,
        "log": log,
        "floor": floor,
        "ceiling": ceiling,
        "gain": gain,
        "preemphasis": audio["preemphasis"],
    }


def range_normalization(audio: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return what undoes the normalisation of an ``audio`` section to a range, ``x * scale + mean``, as (mean, scale).

    None if it does not normalise. Statistics in a file are another matter.

    Raises:
        ConfigError: If the range is none.
    """
    audio = _completed(audio)
    if not audio["signal_norm"]:
        return None
    if not audio["min_level_db"] < 0 < audio["max_norm"]:
        raise ConfigError(
            f"audio: min_level_db {audio['min_level_db']} must be below 0 and max_norm {audio['max_norm']} above it"
        )
    mean = audio["min_level_db"] + audio["ref_level_db"]
    scale = -audio["min_level_db"] / audio["max_norm"]
    if audio["symmetric_norm"]:
        mean, scale = mean - audio["min_level_db"] / 2, scale / 2
    return float(mean), float(scale)


def _completed(audio: Mapping[str, Any]) -> dict[str, Any]:
    audio = DEFAULTS | audio
    for name in NUMBERS:
        if not isinstance(take(audio, name, "audio"), int | float):
            raise ConfigError(f"audio.{name} is {audio[name]!r}: a number is expected", f"audio.{name}")
    return audio


def _frame(audio: Mapping[str, Any]) -> tuple[int, int]:
    """Return window and hop (samples), which a section may give in milliseconds instead."""
    if audio["hop_length"] is not None:
        return audio["win_length"], audio["hop_length"]
    length, shift = take(audio, "frame_length_ms", "audio"), take(audio, "frame_shift_ms", "audio")
    if not shift > 0 or length % shift:
        raise ConfigError(
            f"audio.frame_length_ms {length} is no multiple of audio.frame_shift_ms {shift}", "audio.frame_length_ms"
        )
    win_length = int(length / 1000 * audio["sample_rate"])
    return win_length, int(win_length / (length / shift))
