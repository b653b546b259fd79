"""What is known already: a line for each cut recording and each measured item, by a key of all that it depends on."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evagan_plugin import __version__
from evagan_plugin.utils.json_lines import JsonLines

JOURNAL = "measured.jsonl"


def open_journal(path: Path, others: Iterable[Path] = ()) -> JsonLines:
    """Open a journal of cuts and measures; the lines of ``others`` are known to it, too."""
    return JsonLines(path, line_key, others)


def line_key(line: dict[str, Any]) -> str:
    """Return the key of a line."""
    return line["key"]


def key_of(kind: str, **parts: Any) -> str:
    """Return a key for what is made of these parts by this version."""
    return json.dumps([__version__, kind, parts], sort_keys=True)
