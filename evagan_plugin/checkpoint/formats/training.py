"""A training checkpoint of ours: the generator under a host's prefix, in a pickle; config of ours, or the host's."""

from collections.abc import Mapping
from typing import Any

from evagan_plugin.config import GeneratorConfig
from evagan_plugin.errors import ConfigError

VOCODER_TYPES = ("eva_gan", "hifigan", "vocos")
"""What ``vocoder:`` of a host's training config may name. The first two open as an ``EVAGANGenerator``."""
LANDMARK = "upsampler.pre.bias"
"""A tensor that every EVA-GAN generator has: what stands before it is the prefix of the generator's names."""
FIELDS = frozenset({"vocoder_conf", "preset", "mel", "generator"})
"""Top-level fields that a config of ours, or a host's that holds one, has and no config of another vocoder."""


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a vocoder config, or what a host's training config has under ``vocoder_conf``."""
    if "vocoder_conf" not in config:
        return dict(config)
    if config.get("vocoder", "eva_gan") not in VOCODER_TYPES:
        raise ConfigError(f"vocoder is '{config['vocoder']}', not one of {', '.join(VOCODER_TYPES)}", "vocoder")
    return config["vocoder_conf"]


def module_names(generator: GeneratorConfig | None) -> dict[str, str]:
    """Return the generator's modules by themselves: they have our names already."""
    return {name: name for name in ("upsampler.pre", "upsampler", "context", "normalisation")}
