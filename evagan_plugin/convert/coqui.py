"""HiFi-GAN of Coqui TTS (``hifigan_generator``): ``model`` in a pickle, ``config.json``."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evagan_plugin.convert.fields import take, take_only
from evagan_plugin.errors import ConfigError

LOGS = {"np.log": "ln", "np.log10": "log10"}
FLOOR = 1e-8
"""What Coqui TTS clamps magnitudes to before the logarithm."""
DEFAULTS = {
    "fft_size": 1024, "win_length": 1024, "hop_length": 256, "frame_length_ms": None, "frame_shift_ms": None,
    "stft_pad_mode": "reflect", "sample_rate": 22050, "preemphasis": 0.0, "num_mels": 80, "mel_fmin": 0.0,
    "mel_fmax": None, "log_func": "np.log10", "spec_gain": 20, "do_amp_to_db_mel": True, "signal_norm": True,
    "ref_level_db": 20, "min_level_db": -100, "symmetric_norm": True, "max_norm": 4.0, "clip_norm": True,
    "stats_path": None,
}  # fmt: skip
"""What Coqui TTS takes where its ``audio`` section leaves a field out."""


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return our settings for their ``config.json``; tensors are named as in the authors' HiFi-GAN."""
    take_only(config, "config", generator_model="hifigan_generator")
    params = take(config, "generator_model_params", "config")
    take_only(params, "generator_model_params", out_channels=1, cond_in_each_up_layer=False, pre_linear=None)
    where = "generator_model_params"
    audio = DEFAULTS | take(config, "audio", "config")
    if audio["signal_norm"] and audio["stats_path"]:
        raise ConfigError("audio.stats_path: statistics in a pickled array cannot be read without running its code")
    return {
        "preset": "hifigan_v1_22k",
        "mel": mel_settings(audio),
        "generator": {
            "channels": take(params, "upsample_initial_channel", where),
            "upsample_rates": take(params, "upsample_factors", where),
            "upsample_kernels": take(params, "upsample_kernel_sizes", where),
            "resblock_kernels": take(params, "resblock_kernel_sizes", where),
            "resblock_dilations": take(params, "resblock_dilation_sizes", where),
            "resblock": int(take(params, "resblock_type", where)),
            "global_channels": params.get("cond_channels", 0),
            "normalise": audio["signal_norm"],
        },
    }


def mel_settings(audio: Mapping[str, Any]) -> dict[str, Any]:
    """Return our mel settings for Coqui's ``audio`` section: its mels before they are normalised.

    Normalisation to a range also clips: from below that is a higher floor. From above it is beyond any waveform in
    [-1, 1] that is not a loud pure tone, and left out of account.

    Raises:
        ConfigError: If it says what a :class:`MelConfig` cannot: linear mels, another logarithm or padding.
    """
    audio = DEFAULTS | audio
    take_only(audio, "audio", do_amp_to_db_mel=True, stft_pad_mode="reflect")
    log, gain, floor = audio["log_func"], audio["spec_gain"], FLOOR
    if log not in LOGS:
        raise ConfigError(f"audio.log_func is {log!r}: only {' and '.join(LOGS)} can be converted")
    if audio["signal_norm"] and audio["clip_norm"] and not audio["stats_path"]:
        base = math.e if log == "np.log" else 10.0
        floor = max(floor, base ** ((audio["min_level_db"] + audio["ref_level_db"]) / gain))
    win_length, hop_length = audio["win_length"], audio["hop_length"]
    if hop_length is None:
        shift = take(audio, "frame_shift_ms", "audio")
        hop_length = int(shift / 1000 * audio["sample_rate"])
        win_length = int(hop_length * take(audio, "frame_length_ms", "audio") / shift)
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
        "log": LOGS[log],
        "floor": floor,
        "gain": gain,
        "preemphasis": audio["preemphasis"],
    }


def statistics(config: Mapping[str, Any], folder: Path) -> dict[str, Tensor]:
    """Return what undoes the normalisation of the ``audio`` section to a range, under our names; nothing if none."""
    audio = DEFAULTS | config["audio"]
    if not audio["signal_norm"]:
        return {}
    mean = audio["min_level_db"] + audio["ref_level_db"]
    scale = -audio["min_level_db"] / audio["max_norm"]
    if audio["symmetric_norm"]:
        mean, scale = mean - audio["min_level_db"] / 2, scale / 2
    bands = (audio["num_mels"], 1)
    return {
        "normalisation.mean": torch.full(bands, float(mean)),
        "normalisation.scale": torch.full(bands, float(scale)),
    }
