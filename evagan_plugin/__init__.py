"""EVA-GAN (arXiv 2402.00892): a neural vocoder that plugs into ESPnet and Coqui TTS.

Public names are imported when they are first used, so that importing the package costs nothing.
"""

import importlib

_PUBLIC = {
    "EVAGANGenerator": "evagan_plugin.generator",
    "EVAGANVocoder": "evagan_plugin.vocoder",
    "GANVocoder": "evagan_plugin.gan",
    "LossBalancer": "evagan_plugin.losses.balancer",
    "MelConfig": "evagan_plugin.schema",
    "MelSpectrogram": "evagan_plugin.mel",
    "MultiPeriodDiscriminator": "evagan_plugin.discriminators",
    "MultiResolutionDiscriminator": "evagan_plugin.discriminators",
    "VocoderConfig": "evagan_plugin.schema",
    "build_config": "evagan_plugin.config",
    "list_presets": "evagan_plugin.config",
    "load_preset": "evagan_plugin.config",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version  # slow to import, and seldom asked for

        return version("evagan-plugin")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'evagan_plugin' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
