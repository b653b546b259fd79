"""EVA-GAN inside ESPnet's joint training of an acoustic model and a vocoder (``tts: joint_text2wav``).

The same in singing (``svs: joint_score2wav``).

In a config::

    tts: joint_text2wav
    tts_conf:
        vocoder_type: eva_gan
        vocoder_params: {preset: eva_gan_mini_16k}      # mel and generator may be overridden
        discriminator_type: eva_gan_discriminator
        discriminator_params: {}                        # of the same preset; mpd, mrd, activation may be overridden
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from evagan_plugin.config import MelConfig, VocoderConfig, build_config
from evagan_plugin.errors import ConfigError, nearest
from evagan_plugin.model.discriminators import build_discriminators
from evagan_plugin.model.generator import EVAGANGenerator

VOCODER_NAMES = ("eva_gan", "eva_gan_generator")
"""What ``vocoder_type`` may call :class:`JointGenerator`."""
DISCRIMINATOR_NAME = "eva_gan_discriminator"
"""What ``discriminator_type`` calls :class:`JointDiscriminator`."""
DEFAULT_PRESET = "eva_gan_base_22k"
"""Used where a config names none: it has the rate and the hop of ESPnet's own defaults."""
HOP_OF_GENERATOR = "the product of upsample_rates, times head.istft.hop_length with an iSTFT head"
"""What gives a generator its hop, for errors."""


class JointGenerator(EVAGANGenerator):
    """The generator in the form of ESPnet's ``HiFiGANGenerator``.

    Args:
        in_channels: Channels of the input: mel bands, or hidden channels of VITS and JETS.
        settings: ``preset``, ``mel`` and ``generator`` of a vocoder config.

    Raises:
        ConfigError: If the settings are wrong.
    """

    def __init__(self, in_channels: int, **settings: Any) -> None:
        super().__init__(generator_config(settings).own_generator, in_channels)

    def forward(self, c: Tensor, g: Tensor | None = None) -> Tensor:
        """Map features (B, in_channels, F), and a condition (B, global_channels, 1), to waveforms (B, 1, F * hop)."""
        return super().forward(c, g)

    def inference(self, c: Tensor, g: Tensor | None = None) -> Tensor:
        """Map features (F, in_channels), and a condition (global_channels, 1), to a waveform (F * hop, 1)."""
        return self(c.t().unsqueeze(0), None if g is None else g.unsqueeze(0)).squeeze(0).t()


class JointDiscriminator(nn.Module):
    """The discriminators in the form of ESPnet's ``HiFiGANMultiScaleMultiPeriodDiscriminator``.

    Args:
        preset: Preset to start from.
        settings: Fields of the ``discriminators`` section of a vocoder config.

    Raises:
        ConfigError: If the settings are wrong.
    """

    def __init__(self, preset: str = DEFAULT_PRESET, **settings: Any) -> None:
        super().__init__()
        try:
            config = build_config({"preset": preset, "discriminators": settings})
        except ConfigError as error:
            raise error.within("discriminator_params") from None
        self.groups = build_discriminators(config.discriminators)

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Score waveforms (B, 1, T); for each sub-discriminator, its feature maps and its logits (B, N) last."""
        return [[*output.feature_maps[:-1], output.logits] for group in self.groups.values() for output in group(x)]


def generator_config(settings: Mapping[str, Any], allowed: tuple[str, ...] = ("mel", "generator")) -> VocoderConfig:
    """Return the vocoder config of ``vocoder_params``.

    Raises:
        ConfigError: If it is wrong, or has a section that would have no effect.
    """
    for name in settings.keys() - {"preset", *allowed}:
        raise ConfigError(f"vocoder_params: unknown field '{name}': {nearest(name, ('preset', *allowed))}")
    try:
        return build_config({"preset": DEFAULT_PRESET, **settings})
    except ConfigError as error:
        raise error.within("vocoder_params") from None


def mel_loss_params(mel: MelConfig) -> dict[str, Any]:
    """Return a mel's framing and bands in the names of ESPnet's ``MelSpectrogramLoss``."""
    return {
        "fs": mel.sample_rate,
        "n_fft": mel.n_fft,
        "hop_length": mel.hop_length,
        "win_length": mel.win_length,
        "window": "hann",
        "n_mels": mel.n_mels,
        "fmin": 0,
        "fmax": None,
        "log_base": None,
    }


def complete_joint(wrapped: Callable, instance: object, args: tuple, kwargs: Mapping[str, Any]) -> None:
    """Around the constructors of ``JointText2Wav`` and ``JointScore2Wav``: fill in what follows from EVA-GAN's preset.

    ``in_channels`` is the acoustic model's. ``sampling_rate``, ``mel_loss_params`` and ``discriminator_params`` are
    the preset's where the config does not give them.
    """
    given = inspect.signature(wrapped).bind(*args, **kwargs).arguments
    if given.get("vocoder_type") in VOCODER_NAMES:
        settings = given.get("vocoder_params", {})
        config = generator_config({name: value for name, value in settings.items() if name != "in_channels"})
        given["vocoder_params"] = {**settings, "in_channels": given["odim"]}
        if given.get("use_pqmf"):
            raise ConfigError("tts_conf: use_pqmf is for vocoders of several bands; EVA-GAN makes one: leave it out")
        given.setdefault("sampling_rate", config.mel.sample_rate)
        given.setdefault("mel_loss_params", mel_loss_params(config.mel))
    if given.get("discriminator_type") == DISCRIMINATOR_NAME:
        preset = given.get("vocoder_params", {}).get("preset", DEFAULT_PRESET)
        given["discriminator_params"] = {"preset": preset, **given.get("discriminator_params", {})}
    wrapped(**given)


def refuse_other_hop_or_rate(wrapped: Callable, instance: object, args: tuple, kwargs: Mapping[str, Any]) -> None:
    """Around the constructors of ESPnet's GAN models: compare their acoustic features with EVA-GAN.

    ESPnet asserts that the hop is the generator's, without a number, and does not compare rates.

    Raises:
        ConfigError: If the features have another hop or another rate; both values.
    """
    given = inspect.signature(wrapped).bind(*args, **kwargs).arguments
    model, extractor = given["tts" if "tts" in given else "svs"], given.get("feats_extract")
    features = extractor.get_parameters() if extractor is not None else {}
    for generator in model.modules():
        if isinstance(generator, JointGenerator) and features:
            if generator.upsample_factor != features["n_shift"]:
                raise ConfigError(
                    f"the acoustic features have n_shift {features['n_shift']}, the generator makes "
                    f"{generator.upsample_factor} samples per frame: choose a preset of that hop, or set "
                    f"vocoder_params.mel.hop_length and, in vocoder_params.generator, {HOP_OF_GENERATOR}"
                )
            if features.get("fs", model.fs) != model.fs:  # linear spectrograms do not know their rate
                raise ConfigError(
                    f"the acoustic features have fs {features['fs']}, the model has sampling_rate {model.fs}: choose a "
                    "preset of that rate, or set tts_conf.sampling_rate and tts_conf.mel_loss_params"
                )
    wrapped(**given)
