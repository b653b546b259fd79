"""EVA-GAN behind an acoustic model of ESPnet: what ``Text2Speech`` calls with features to get a waveform."""

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank
from torch import Tensor, nn

from evagan_plugin.audio.features import check_mel, check_shape
from evagan_plugin.audio.mel import MelConfig, MelConversion, MelMismatchError, fixed_fields
from evagan_plugin.checkpoint.files import CONFIG, locate
from evagan_plugin.config import list_presets, load_preset, read_settings
from evagan_plugin.errors import ConfigError, UsageError
from evagan_plugin.espnet.tts.joint import HOP_OF_GENERATOR
from evagan_plugin.espnet.tts.texts import refuse_unknown_texts
from evagan_plugin.inference.eva_gan import EVAGANVocoder
from evagan_plugin.inference.exported import is_onnx

logger = logging.getLogger(__name__)

FEATURES = "what the acoustic model gives"
"""How features are called in a warning."""


class ESPnetVocoder:
    """A vocoder in the form that ESPnet's ``Text2Speech`` uses; it computes in float32 whatever the model's type.

    Args:
        vocoder: The vocoder.
        conversion: From the acoustic model's features (de-normalised) to the vocoder's, or None where they are the
            same.
    """

    def __init__(self, vocoder: EVAGANVocoder, conversion: MelConversion | None = None) -> None:
        self.vocoder, self.conversion = vocoder, conversion

    @property
    def fs(self) -> int:
        """Samples per second (Hz) of what comes out."""
        return self.vocoder.sample_rate

    def forward(self, feats: Tensor) -> Tensor:
        """Turn features (F, n_mels) into a waveform (F * hop,), on the features' device.

        Raises:
            UsageError: If the number of bands is another, or a value is not finite.
        """
        check_shape(feats.shape, self.vocoder.mel_config.n_mels, "features", "frames_first")
        mel = feats.t().float().cpu()
        if self.conversion is not None:
            check_mel(mel, self.vocoder.mel_config)
            conversion = self.conversion
            self.vocoder.watch.look(conversion.unclamped(mel), FEATURES, conversion.source_floor, conversion.factor)
            mel = conversion(mel)
        return self.vocoder.synthesize(mel, FEATURES).to(feats.device)

    __call__ = forward

    def __repr__(self) -> str:
        mel = self.vocoder.mel_config
        return f"EVA-GAN({mel.sample_rate} Hz, hop {mel.hop_length}, {mel.n_mels} bands, {mel.log})"


def build_vocoder_from_file(wrapped: Callable, instance: type, args: tuple, kwargs: Mapping[str, Any]) -> object:
    """Around ``build_vocoder_from_file`` of a task: build ours, or leave Griffin-Lim and ``.pkl`` files to ESPnet."""
    return _build(wrapped, *args, **kwargs)


def _build(
    wrapped: Callable,
    vocoder_config_file: Path | str | None = None,
    vocoder_file: Path | str | None = None,
    model: nn.Module | None = None,
    device: str = "cpu",
) -> object:
    if vocoder_file is None or str(vocoder_file).endswith(".pkl"):
        return wrapped(vocoder_config_file, vocoder_file, model, device)
    if hasattr(model, "token_list"):
        refuse_unknown_texts(model, model.token_list)
    # In speech to speech translation the features of the target's speech are called so.
    extractor = getattr(model, "tgt_feats_extract", getattr(model, "feats_extract", None))
    return load_vocoder(vocoder_file, vocoder_config_file, extractor, device)


def refuse_normalized_features(wrapped: Callable, instance: object, args: tuple, kwargs: Mapping[str, Any]) -> None:
    """Around the constructor of ``Text2Speech`` and its like, which de-normalise features unless told not to.

    Raises:
        UsageError: If normalised features would go into EVA-GAN.
    """
    wrapped(*args, **kwargs)
    if instance.prefer_normalized_feats and isinstance(instance.vocoder, ESPnetVocoder):
        raise UsageError("prefer_normalized_feats: EVA-GAN takes features that are not normalised; leave it out")


def load_vocoder(
    vocoder_file: Path | str,
    config_file: Path | str | None = None,
    feats_extract: nn.Module | None = None,
    device: str = "cpu",
) -> ESPnetVocoder:
    """Open a vocoder for an acoustic model.

    Args:
        vocoder_file: Checkpoint (ESPnet's ``.pth``, a ``.safetensors`` file, or a directory of ours), the name of a
            model that comes with the package, or an exported ``.onnx``, which computes on the CPU wherever the
            acoustic model does.
        config_file: Its config; the one beside it when None.
        feats_extract: The acoustic model's feature extractor; None where the model reads features from files, which
            are then taken to be the vocoder's own, with a warning.
        device: Where to compute.

    Raises:
        ConfigError: If the config is no vocoder's, or the acoustic model's features do not fit; every differing field
            is named with both values.
        EvaganError: If the checkpoint is missing, damaged or of another config.
    """
    vocoder_file = locate(vocoder_file)
    if is_onnx(vocoder_file):  # its config is inside
        device = "cpu"
    else:
        _check_is_vocoder(vocoder_file, config_file)
    vocoder = EVAGANVocoder.load(vocoder_file, config_file, device=device)
    if feats_extract is None:
        logger.warning(
            "the acoustic model has no feats_extract (it reads features from files): they are taken as the mels of "
            f"{vocoder_file}, unchecked"
        )
        return ESPnetVocoder(vocoder)
    return ESPnetVocoder(vocoder, convert_mels(mel_of(feats_extract), vocoder.mel_config, vocoder_file))


def convert_mels(source: MelConfig, target: MelConfig, vocoder: Path | str) -> MelConversion:
    """Return the conversion from an acoustic model's mels to those of a vocoder.

    Raises:
        ConfigError: If there is none: every field that differs, and how a vocoder that fits is made.
    """
    try:
        return MelConversion(source, target, target_name=f"the vocoder {vocoder}")
    except MelMismatchError as error:
        raise ConfigError(f"{error}. {_remedy(source, target)}") from error


def mel_of(feats_extract: nn.Module) -> MelConfig:
    """Return the mel that ESPnet's feature extractor makes (``feats_extract`` and ``feats_extract_conf``).

    Raises:
        ConfigError: If it makes no log-mels, or in a way that is not known here.
    """
    if not isinstance(feats_extract, LogMelFbank):
        raise ConfigError(
            f"the acoustic model's features are {type(feats_extract).__name__}, not log-mels (feats_extract: fbank)"
        )
    stft, options = feats_extract.stft, feats_extract.logmel.mel_options
    if feats_extract.window != "hann" or stft.normalized:
        raise ConfigError(
            f"the acoustic model's features have window {feats_extract.window}, normalized {stft.normalized}: only "
            "hann and false are known here"
        )
    base = feats_extract.logmel.log_base
    return MelConfig(
        sample_rate=feats_extract.fs,
        n_fft=feats_extract.n_fft,
        hop_length=feats_extract.hop_length,
        win_length=feats_extract.win_length or feats_extract.n_fft,
        n_mels=feats_extract.n_mels,
        f_min=options["fmin"],
        f_max=options["fmax"],
        center=stft.center,
        scale="htk" if options["htk"] else "slaney",
        power_add=0.0,
        power_floor=1e-10,
        log="log10" if base == 10.0 else "ln",
        floor=1e-10,
        gain=1.0 if base in (None, 10.0) else 1 / math.log(base),
    )


def _check_is_vocoder(vocoder_file: Path, config_file: Path | str | None) -> None:
    """Check that a config is a vocoder's: an acoustic model's is easily given by mistake."""
    beside = vocoder_file / CONFIG if vocoder_file.is_dir() else vocoder_file.with_name(CONFIG)
    path = Path(config_file or beside)
    # A config that is missing is spoken of by the loader, which knows other names for it.
    if path.is_file() and not read_settings(path).keys() & {"vocoder", "vocoder_conf", "generator", "preset"}:
        raise ConfigError(f"{path} has no 'vocoder:': give the config of the vocoder's training, or its packed config")


def _remedy(source: MelConfig, target: MelConfig) -> str:
    """Say how a vocoder that takes these features is made."""
    fields, ours = fixed_fields(source), fixed_fields(target)
    presets = [name for name in list_presets() if fixed_fields(load_preset(name).mel) == fields]
    if presets:
        return f"Train the vocoder with preset: {' or '.join(presets)}"
    changes = ", ".join(f"{name}: {str(value).lower()}" for name, value in fields.items() if value != ours[name])
    hop = ""
    if source.hop_length != target.hop_length:
        hop = f" and vocoder_conf.generator of hop {source.hop_length}: {HOP_OF_GENERATOR}"
    return f"Train the vocoder with vocoder_conf.mel: {{{changes}}}{hop}"
