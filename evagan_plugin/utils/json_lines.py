"""Work on disk as soon as it is done: a JSON line for each part of it, so that an interrupted run goes on."""

import json
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from evagan_plugin.errors import EvaganError
from evagan_plugin.utils.files import write_text

Line = dict[str, Any]
KeyOfLine = Callable[[Line], Hashable]
"""What a line is of; raises ``KeyError`` for a line of something else."""


class JsonLines:
    """Lines by key, appended as they come; of two with one key the later holds.

    Args:
        path: The file; it need not be there.
        key: Of a line.
        others: Files whose lines are taken up, too; of two lines with one key that of the file changed last holds.

    Raises:
        EvaganError: If a file cannot be read.
    """

    def __init__(self, path: Path, key: KeyOfLine, others: Iterable[Path] = ()) -> None:
        self.path, self._key = path, key
        files = sorted({*others, path}, key=lambda file: (_changed(file), str(file)))
        self.lines = {key(line): line for file in files for line in read_json_lines(file, key)}
        self._stream: TextIO | None = None

    def add(self, *lines: Line) -> None:
        """Append lines and put them on disk (raises :class:`EvaganError`)."""
        self.lines |= {self._key(line): line for line in lines}
        try:
            if self._stream is None:
                # Whole first: a line that a kill cut short would swallow the next one.
                write_text(self.path, _text(self.lines.values()))
                self._stream = self.path.open("a", encoding="utf-8")
            else:
                self._stream.write(_text(lines))
                self._stream.flush()
        except OSError as error:
            raise EvaganError(f"cannot write {self.path}: {error.strerror or error}") from error

    def close(self, wanted: Iterable[Hashable] | None = None) -> None:
        """Close the file; with the keys of a finished run, keep their lines only, in this order."""
        if self._stream is not None:
            with suppress(OSError):  # a full disk has been reported
                self._stream.close()
            self._stream = None
        if wanted is not None:
            write_text(self.path, _text(self.lines[key] for key in wanted))


def read_json_lines(path: Path, key: KeyOfLine) -> Iterator[Line]:
    """Yield the whole lines of a file that have a key; what a kill cut short is left out, and no file has no line.

    Raises:
        EvaganError: If it cannot be read.
    """
    if not path.is_file():
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            for text in stream:
                with suppress(ValueError, KeyError, TypeError):
                    line = json.loads(text)
                    key(line)
                    yield line
    except OSError as error:
        raise EvaganError(f"cannot read {path}: {error.strerror or error}") from error


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _text(lines: Iterable[Line]) -> str:
    return "".join(f"{json.dumps(line)}\n" for line in lines)
