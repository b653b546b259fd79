"""What users could pick in our place, built by their own packages with random weights: speed does not need others."""

from collections.abc import Callable

from torch import nn

from evagan_plugin.config import MelConfig, load_preset
from evagan_plugin.errors import UsageError, require
from evagan_plugin.inference.third_party import BUILDERS, VOCOS_CLASSES
from evagan_plugin.model.vocos import VocosGenerator

HIFIGAN = "HiFi-GAN v1 (ESPnet)"
HIFIGAN_PRESET = "hifigan_v1_22k"
"""Whose mel HiFi-GAN v1 takes."""
HIFIGAN_RATES = {256: (8, 8, 2, 2), 512: (8, 8, 4, 2)}
"""Upsampling of HiFi-GAN v1 by hop length."""
KERNELS, DILATIONS = [3, 7, 11], [[1, 3, 5]] * 3
"""Of HiFi-GAN v1's and BigVGAN's residual blocks."""
BIGVGAN = {
    "resblock": "1",
    "upsample_rates": [4, 4, 2, 2, 2, 2],
    "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
    "upsample_initial_channel": 1536,
    "resblock_kernel_sizes": KERNELS,
    "resblock_dilation_sizes": DILATIONS,
    "activation": "snakebeta",
    "snake_logscale": True,
    "use_bias_at_final": False,
    "use_tanh_at_final": False,
    "num_mels": 100,
    "n_fft": 1024,
    "hop_size": 256,
    "win_size": 1024,
    "sampling_rate": 24000,
    "fmin": 0,
    "fmax": None,
}
"""Sizes of bigvgan_v2_24khz_100band_256x."""
VOCOS_SIZES = {
    "feature_extractor": {},
    "backbone": {"input_channels": 100, "dim": 512, "intermediate_dim": 1536, "num_layers": 8},
    "head": {"dim": 512, "n_fft": 1024, "hop_length": 256},
}
"""Of vocos-mel-24khz."""

Rival = tuple[MelConfig, nn.Module]


def espnet_hifigan(mel: MelConfig, remedy: str = "") -> nn.Module:
    """Return ESPnet's HiFi-GAN v1 generator for a mel, weight norm on.

    Args:
        mel: What it takes.
        remedy: What a user can do where it has no such generator, for the error.

    Raises:
        UsageError: If its upsampling for this hop length is not known.
        EvaganError: If ESPnet is not installed.
    """
    if mel.hop_length not in HIFIGAN_RATES:
        known = ", ".join(map(str, HIFIGAN_RATES))
        raise UsageError(f"HiFi-GAN is measured at hop lengths {known}, not {mel.hop_length}{remedy and f': {remedy}'}")
    rates = HIFIGAN_RATES[mel.hop_length]
    return require("espnet2.gan_tts.hifigan.hifigan", "espnet").HiFiGANGenerator(
        in_channels=mel.n_mels,
        upsample_scales=list(rates),
        upsample_kernel_sizes=[2 * rate for rate in rates],
    )


def _espnet() -> Rival:
    mel = load_preset(HIFIGAN_PRESET).mel
    generator = espnet_hifigan(mel)
    generator.remove_weight_norm()
    return mel, generator


def _coqui() -> Rival:
    mel = load_preset(HIFIGAN_PRESET).mel
    rates = list(HIFIGAN_RATES[mel.hop_length])
    generator = require("TTS.vocoder.models.hifigan_generator", "coqui").HifiganGenerator(
        in_channels=mel.n_mels,
        out_channels=1,
        resblock_type="1",
        resblock_dilation_sizes=DILATIONS,
        resblock_kernel_sizes=KERNELS,
        upsample_kernel_sizes=[2 * rate for rate in rates],
        upsample_initial_channel=512,
        upsample_factors=rates,
    )
    generator.remove_weight_norm()
    return mel, generator


def _vocos() -> Rival:
    settings = {name: {"class_path": path, "init_args": VOCOS_SIZES[name]} for name, path in VOCOS_CLASSES.items()}
    mel, model = BUILDERS["vocos"](settings)
    return mel, VocosGenerator(model.backbone, model.head)


RIVALS: dict[str, Callable[[], Rival]] = {
    HIFIGAN: _espnet,
    "HiFi-GAN v1 (Coqui TTS)": _coqui,
    "Vocos 24 kHz": _vocos,
    "BigVGAN-v2 24 kHz": lambda: BUILDERS["bigvgan"](BIGVGAN),
}
"""By name, what builds mel and generator; raises :class:`EvaganError` where its package is not installed."""
