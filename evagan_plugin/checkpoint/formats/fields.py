"""Fields of other projects' configs."""

from collections.abc import Mapping
from typing import Any

from evagan_plugin.errors import ConfigError


def take(config: Mapping[str, Any], name: str, where: str) -> Any:
    """Return a field that must be there (raises :class:`ConfigError`)."""
    if config.get(name) is None:
        raise ConfigError(f"{where} has no '{name}'", f"{where}.{name}")
    return config[name]


def take_only(config: Mapping[str, Any], where: str, **only: Any) -> None:
    """Check that fields that choose another architecture have the one supported value, or are absent.

    Raises:
        ConfigError: If one has another value.
    """
    for name, value in only.items():
        if config.get(name, value) != value:
            raise ConfigError(f"{where}.{name} is {config[name]!r}: only {value!r} can be converted", f"{where}.{name}")
