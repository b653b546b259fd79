"""Coqui's ``AudioProcessor`` in our terms: its mel, its normalisation, and the way back."""

import math
from dataclasses import fields

import torch
from pydantic import ValidationError
from torch import Tensor
from TTS.config.shared_configs import BaseAudioConfig
from TTS.utils.audio import AudioProcessor
from TTS.utils.audio.numpy_transforms import millisec_to_length

from evagan_plugin.errors import ConfigError
from evagan_plugin.schema import MelConfig

FLOOR = 1e-8
"""Band magnitudes are clamped to this by ``AudioProcessor`` before the logarithm."""
POWER_ADD = 1e-20
"""So little that a magnitude stays as it is, and enough for the root to have a gradient in digital silence."""
LOGARITHMS = {"np.log": "ln", "np.log10": "log10"}
REQUIRED = {
    "do_amp_to_db_mel": (True, "the mel must be logarithmic"),
    "stft_pad_mode": ("reflect", "frames at the ends are padded by reflection"),
}
"""Fields that no :class:`MelConfig` stands for: the only value they may have, and why."""


def mel_config(audio: BaseAudioConfig) -> MelConfig:
    """Return what the mels of an ``AudioProcessor`` are before they are normalised.

    Normalisation to a range also clips: from below that is a higher floor (from above, at ``ref_level_db``, it is
    beyond any waveform in [-1, 1] that is not a loud pure tone, and left out of account).

    Raises:
        ConfigError: If it is none that EVA-GAN can take.
    """
    for name, (only, why) in REQUIRED.items():
        if getattr(audio, name) != only:
            raise ConfigError(f"audio.{name} is {getattr(audio, name)!r}, EVA-GAN takes {only!r} alone: {why}")
    win_length, hop_length = audio.win_length, audio.hop_length
    if hop_length is None:
        win_length, hop_length = millisec_to_length(
            frame_length_ms=audio.frame_length_ms, frame_shift_ms=audio.frame_shift_ms, sample_rate=audio.sample_rate
        )
    floor = FLOOR
    if audio.signal_norm and audio.clip_norm and not audio.stats_path:
        base = math.e if audio.log_func == "np.log" else 10.0
        floor = max(floor, base ** ((audio.min_level_db + audio.ref_level_db) / audio.spec_gain))
    try:
        return MelConfig(
            sample_rate=audio.sample_rate,
            n_fft=audio.fft_size,
            hop_length=hop_length,
            win_length=win_length,
            n_mels=audio.num_mels,
            f_min=audio.mel_fmin,
            f_max=audio.mel_fmax,
            center=True,
            power_add=POWER_ADD,
            log=LOGARITHMS[audio.log_func],
            floor=floor,
            gain=audio.spec_gain,
            preemphasis=audio.preemphasis,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"audio: {where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
        ) from None


def audio_config(mel: MelConfig) -> BaseAudioConfig:
    """Return an ``AudioProcessor`` config of the same frames and bands (natural logarithm, no normalisation).

    Coqui's default floor and our logarithm, gain and floor are mended by
    :class:`~evagan_plugin.mel.MelConversion` where they differ.
    """
    return BaseAudioConfig(
        sample_rate=mel.sample_rate,
        fft_size=mel.n_fft,
        hop_length=mel.hop_length,
        win_length=mel.win_length,
        num_mels=mel.n_mels,
        mel_fmin=mel.f_min,
        mel_fmax=mel.f_max,
        preemphasis=mel.preemphasis,
        log_func="np.log",
        spec_gain=1,
        signal_norm=False,
        do_trim_silence=False,
    )


def audio_processor(audio: BaseAudioConfig) -> AudioProcessor:
    """Build Coqui's ``AudioProcessor`` (raises :class:`ConfigError` where Coqui asserts or a file is missing)."""
    try:
        return AudioProcessor(audio)
    except (AssertionError, OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"audio: {' '.join(str(error).split()) or type(error).__name__}") from error


def normalisation(processor: AudioProcessor) -> tuple[Tensor, Tensor] | None:
    """Return mean and scale of each band (n_mels,) with which normalised features are undone: x * scale + mean.

    None if the processor does not normalise. Clipping is left out.
    """
    if not processor.signal_norm:
        return None
    if processor.stats_path:
        scaler = processor.mel_scaler
        return torch.as_tensor(scaler.mean_, dtype=torch.float32), torch.as_tensor(scaler.scale_, dtype=torch.float32)
    lowest = processor.min_level_db + processor.ref_level_db
    scale = -processor.min_level_db / processor.max_norm
    if processor.symmetric_norm:
        scale, lowest = scale / 2, lowest + processor.max_norm * scale / 2
    bands = processor.num_mels
    return torch.full((bands,), float(lowest)), torch.full((bands,), float(scale))


def audio_fields() -> set[str]:
    """Return the names that a config may have under ``audio``."""
    return {field.name for field in fields(BaseAudioConfig)}
