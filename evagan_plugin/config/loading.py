"""Configs in and out: presets by name, overrides, files; what a config holds is in the files beside this one."""

import dataclasses
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from evagan_plugin.config.aliases import without_old_fields
from evagan_plugin.config.reading import read_settings
from evagan_plugin.config.schema import MelConfig, VocoderConfig
from evagan_plugin.errors import ConfigError, nearest
from evagan_plugin.utils.files import write_text

PRESETS = files("evagan_plugin.config") / "presets"


def list_presets() -> list[str]:
    """Return the names of all presets, sorted."""
    return sorted(entry.name.removesuffix(".yaml") for entry in PRESETS.iterdir() if entry.name.endswith(".yaml"))


def load_preset(name: str) -> VocoderConfig:
    """Return a preset by name, e.g. ``"eva_gan_base_44k"``.

    Raises:
        ConfigError: If there is none of that name; the message has the nearest one.
    """
    return build_config({"preset": name})


def build_config(settings: Mapping[str, Any]) -> VocoderConfig:
    """Check nested settings and return the config that they describe.

    Args:
        settings: Fields of :class:`VocoderConfig`, nested as in a preset's YAML. ``preset: NAME`` starts from
            that preset; what else is given overrides it field by field.

    Raises:
        ConfigError: One line that names the field and what is wrong; an unknown field names the nearest known one.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError(f"a mapping of config fields is expected, not {settings!r:.80}")
    return _validate(VocoderConfig, _with_preset(settings))


def build_mel_config(settings: Mapping[str, Any]) -> MelConfig:
    """Check the fields of a :class:`MelConfig` and return it (raises :class:`ConfigError`)."""
    return _validate(MelConfig, settings)


def load_section[Section](kind: type[Section], path: str | Path) -> Section:
    """Read a file that holds one dataclass of settings (raises :class:`ConfigError`, the path in front)."""
    settings = read_settings(path)
    try:
        return _validate(kind, settings)
    except ConfigError as error:
        raise error.within(path) from None


def load_config(path: str | Path) -> VocoderConfig:
    """Read a vocoder config from a YAML or JSON file (raises :class:`ConfigError`, the path in front)."""
    try:
        return build_config(read_settings(path))
    except ConfigError as error:
        raise error if str(error).startswith(str(path)) else error.within(path) from None


def config_to_dict(config: Any) -> dict[str, Any]:
    """Return a config as plain dicts, lists and scalars; :func:`build_config` takes it back unchanged."""
    return TypeAdapter(type(config)).dump_python(config, mode="json")


def dump_config(config: VocoderConfig, path: str | Path) -> None:
    """Write a config as YAML, whole or not at all."""
    write_text(path, yaml.safe_dump(config_to_dict(config), sort_keys=False))


def config_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List the fields in which two configs of plain dicts differ, as ``field: ours != theirs``."""
    lines = []
    for key in dict.fromkeys([*ours, *theirs]):
        left, right = ours.get(key), theirs.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            lines += config_difference(left, right, f"{prefix}{key}.")
        elif left != right:
            lines.append(f"{prefix}{key}: {left} != {right}")
    return lines


def _with_preset(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Merge settings over the preset that they name, and that one over its own; old field names become today's."""
    settings = without_old_fields(settings)
    name = settings.pop("preset", None)
    if name is None:
        return settings
    if name not in list_presets():
        raise ConfigError(f"unknown preset {name!r}: {nearest(str(name), list_presets())}", "preset")
    return merge_settings(
        _with_preset(yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))), settings
    )


def merge_settings(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with what ``over`` says in the place of the same fields, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge_settings(merged[key], value) if both else value
    return merged


@cache
def _adapter(kind: type) -> TypeAdapter:
    return TypeAdapter(kind)


def _validate[Config](kind: type[Config], settings: Mapping[str, Any]) -> Config:
    """Check settings and return the config of a kind, a dataclass, that they describe (raises :class:`ConfigError`)."""
    try:
        return _adapter(kind).validate_python(settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _config_error(kind, first) from None


def _config_error(kind: type, error: Mapping[str, Any]) -> ConfigError:
    """Say which field pydantic refused and why."""
    location = [part for part in error["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    message = " ".join(_explanation(kind, location, error).split())
    if error["type"] == "value_error":
        # An invariant of a section: what it says begins with the field that it is about.
        location += _named_first(_kind_at(kind, location), error["msg"].removeprefix("Value error, "))
    return ConfigError(message, ".".join(map(str, location)) or None)


def _named_first(kind: type, message: str) -> list[str]:
    """Return the path of the field that a message begins with, ``[]`` where it begins with none."""
    path: list[str] = []
    for part in re.match(r"[\w.]*", message)[0].split("."):
        if part not in {field.name for field in dataclasses.fields(_kind_at(kind, path))}:
            break
        path.append(part)
    return path


def _explanation(kind: type, location: list, error: Mapping[str, Any]) -> str:
    where = ".".join(map(str, location))
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [field.name for field in dataclasses.fields(_kind_at(kind, location[:-1]))]
        return f"unknown config field '{where}': {nearest(str(location[-1]), known)}"
    if error["type"] in ("missing", "missing_argument"):
        preset = ", or start from a preset (preset: NAME)" if kind in (VocoderConfig, MelConfig) else ""
        return f"config field '{where}' is missing: give it{preset}"
    message = error["msg"].removeprefix("Value error, ")
    got = "" if error["type"] == "value_error" else f", not {error['input']!r:.80}"
    return f"{where + ': ' if where else ''}{message}{got}"


def _kind_at(kind: type, location: list) -> type:
    """Return the dataclass at a path of field names below ``kind``."""
    for part in location:
        if isinstance(part, int):
            continue  # the number of one in a list, which is of the list's kind
        kind = _dataclass_in(get_type_hints(kind, include_extras=True)[part])
    return kind


def _dataclass_in(hint: Any) -> type:
    """Return the dataclass inside ``Annotated[X | None, ...]`` or ``tuple[X, ...]``."""
    if get_origin(hint) in (Annotated, tuple):
        return _dataclass_in(get_args(hint)[0])
    if get_origin(hint) is UnionType or NoneType in get_args(hint):
        return next(_dataclass_in(part) for part in get_args(hint) if part is not NoneType)
    return hint
