"""Coqui's ``AudioProcessor`` in our terms: its mel, its normalisation, and the way back."""

from dataclasses import fields

import torch
from torch import Tensor
from TTS.config.shared_configs import BaseAudioConfig
from TTS.utils.audio import AudioProcessor

from evagan_plugin.checkpoint.formats.coqui_audio import mel_settings, range_normalization
from evagan_plugin.config import MelConfig, build_mel_config
from evagan_plugin.errors import ConfigError


def mel_config(audio: BaseAudioConfig) -> MelConfig:
    """Return what the mels of an ``AudioProcessor`` are before they are normalised.

    Raises:
        ConfigError: If it is none that EVA-GAN can take.
    """
    settings = mel_settings(audio.to_dict())
    try:
        return build_mel_config(settings)
    except ConfigError as error:
        raise error.within("audio") from None


def audio_config(mel: MelConfig) -> BaseAudioConfig:
    """Return an ``AudioProcessor`` config of the same frames and bands (natural logarithm, no normalisation).

    Coqui's default floor and our logarithm, gain and floor are mended by
    :class:`~evagan_plugin.audio.mel.MelConversion` where they differ.
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


def normalization(processor: AudioProcessor) -> tuple[Tensor, Tensor] | None:
    """Return mean and scale of each band (n_mels,) with which normalised features are undone: x * scale + mean.

    None if the processor does not normalise. Clipping is left out.
    """
    if not processor.signal_norm:
        return None
    if processor.stats_path:
        scaler = processor.mel_scaler
        return torch.as_tensor(scaler.mean_, dtype=torch.float32), torch.as_tensor(scaler.scale_, dtype=torch.float32)
    mean, scale = range_normalization(vars(processor))
    return torch.full((processor.num_mels,), mean), torch.full((processor.num_mels,), scale)


def audio_fields() -> set[str]:
    """Return the names that a config may have under ``audio``."""
    return {field.name for field in fields(BaseAudioConfig)}
