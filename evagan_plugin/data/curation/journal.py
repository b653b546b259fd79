"""What is known already: one JSON line for each cut recording and each measured item, on disk as soon as it is done."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from evagan_plugin import __version__
from evagan_plugin.errors import EvaganError
from evagan_plugin.utils.files import write_text

JOURNAL = "measured.jsonl"


class Journal:
    """Lines by key, taken up again where the key is the same: it holds all that a line depends on."""

    def __init__(self, path: Path, others: Iterable[Path] = ()) -> None:
        """Take up the lines of ``path``, and of the journals of ``others``, which stay as they are."""
        self.path = path
        self._lines = {line["key"]: line for journal in (*others, path) for line in read_lines(journal)}
        self._stream = None

    def get(self, key: str) -> dict[str, Any] | None:
        return self._lines.get(key)

    def add(self, key: str, line: dict[str, Any]) -> None:
        """Append a line and put it on disk."""
        line = {"key": key, **line}
        self._lines[key] = line
        try:
            if self._stream is None:
                # Whole first: a line that a kill cut short would swallow the next one.
                write_text(self.path, "".join(map(_text, self._lines.values())))
                self._stream = self.path.open("a", encoding="utf-8")
            else:
                self._stream.write(_text(line))
                self._stream.flush()
        except OSError as error:
            raise EvaganError(f"cannot write {self.path}: {error.strerror or error}") from error

    def close(self, wanted: list[str] | None = None) -> None:
        """Close the file; with the keys of a finished run, keep their lines only, in this order."""
        if self._stream is not None:
            with suppress(OSError):  # a full disk has been reported
                self._stream.close()
            self._stream = None
        if wanted is not None:
            write_text(self.path, "".join(_text(self._lines[key]) for key in wanted))


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a journal; what a kill cut short is left out."""
    if not path.is_file():
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            for text in stream:
                with suppress(ValueError):
                    line = json.loads(text)
                    if isinstance(line, dict) and "key" in line and text.endswith("\n"):
                        yield line
    except OSError as error:
        raise EvaganError(f"cannot read {path}: {error.strerror or error}") from error


def key_of(kind: str, **parts: Any) -> str:
    """Return a key for what is made of these parts by this version."""
    return json.dumps([__version__, kind, parts], sort_keys=True)


def _text(line: dict[str, Any]) -> str:
    return json.dumps(line) + "\n"
