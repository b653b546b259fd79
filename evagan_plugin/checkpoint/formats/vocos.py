"""Vocos as our task trains it: the tensors have the names of its package, the config is ours."""

from collections.abc import Mapping
from typing import Any, NoReturn

from evagan_plugin.checkpoint.formats.foreign import ELSEWHERE
from evagan_plugin.config import GeneratorConfig
from evagan_plugin.errors import ConfigError

LANDMARK = "backbone.embed.bias"
"""A tensor that every Vocos has."""


def module_names(generator: GeneratorConfig | None) -> dict[str, str]:
    """Return the generator's modules by themselves: it is opened by the package."""
    return {name: name for name in ("backbone.embed", "backbone", "head")}


def settings(config: Mapping[str, Any]) -> NoReturn:
    """Refuse a config of the package: its mel is none of ours (raises :class:`ConfigError`)."""
    raise ConfigError(f"the config is of Vocos' own training: {ELSEWHERE.format(kind='vocos')}")
