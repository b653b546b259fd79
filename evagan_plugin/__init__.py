"""EVA-GAN (arXiv 2402.00892): a neural vocoder that plugs into ESPnet and Coqui TTS.

Public names are imported when they are first used, so that importing the package costs nothing.
"""

import importlib

_PUBLIC = {
    "ConfigError": "evagan_plugin.errors",
    "EVAGANGenerator": "evagan_plugin.model.generator",
    "EVAGANVocoder": "evagan_plugin.inference.eva_gan",
    "EvaganError": "evagan_plugin.errors",
    "GANVocoder": "evagan_plugin.training.gan",
    "LossBalancer": "evagan_plugin.training.losses.balancer",
    "MelConfig": "evagan_plugin.config.schema",
    "MelSpectrogram": "evagan_plugin.audio.mel",
    "MultiPeriodDiscriminator": "evagan_plugin.model.discriminators",
    "MultiResolutionDiscriminator": "evagan_plugin.model.discriminators",
    "Scores": "evagan_plugin.evaluation.scores",
    "UsageError": "evagan_plugin.errors",
    "VocoderConfig": "evagan_plugin.config.schema",
    "build_config": "evagan_plugin.config.loading",
    "list_presets": "evagan_plugin.config.loading",
    "load_preset": "evagan_plugin.config.loading",
    "open_vocoder": "evagan_plugin.inference.third_party",
    "score_systems": "evagan_plugin.evaluation.scoring",
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
