"""Configs as they lie on disk, ours and others': ``.json`` is JSON, everything else YAML."""

import re
from pathlib import Path
from typing import Any

import yaml

from evagan_plugin.errors import ConfigError, UsageError
from evagan_plugin.utils.files import read_json, read_text

POWER_OF_TEN = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?|[0-9]*\.[0-9]+)[eE][-+]?[0-9]+$")
"""``1e-05``, ``1e5``, ``.5e3``: numbers in YAML 1.2, JSON and Python, text in YAML 1.1 and so to PyYAML."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, to which ``1e-05`` is a number.

    Not the one in C: thousands of brackets end the process.
    """


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", POWER_OF_TEN, list("-+.0123456789"))


def read_settings(path: str | Path) -> dict[str, Any]:
    """Read a config file whose top level is a mapping.

    ``.json`` is read as JSON, with ``//`` comments as configs of Coqui TTS have them; every other file as YAML.

    Raises:
        ConfigError: If the file cannot be read or is not such a mapping; the line number where there is one.
    """
    try:
        content = read_json(path) if Path(path).suffix.lower() == ".json" else _read_yaml(path)
    except ConfigError:
        raise
    except UsageError as error:
        raise ConfigError(str(error)) from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a mapping (key: value) is expected, not {type(content).__name__}")
    return content


def _read_yaml(path: str | Path) -> Any:
    text = read_text(path)
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{path}{where}: not YAML: {problem}") from None


read_yaml = read_settings
"""The function's former name, under which it stays public."""
