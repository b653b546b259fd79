"""Files in and out: the one reader of text, and writing without half files (beside the place, then renamed)."""

import codecs
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from evagan_plugin.errors import EvaganError, UsageError

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""What a UTF-16 file begins with, as Notepad and PowerShell's ``>`` write it."""
STRING_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*')
"""A string of JSON, or a comment as configs of Coqui TTS have it; ``//`` in a string is no comment."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; it becomes ``path`` when the block ends without an error.

    The parent directory is made. The yielded name keeps the suffix of ``path``, so that writers that
    choose a format by suffix work.

    Raises:
        EvaganError: If the file cannot be written (no permission, full disk); nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise EvaganError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        # Whatever keeps it from being removed has been reported above, or there is nothing to remove.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file (UTF-8) whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: str | Path) -> str:
    """Read a text file that a user brings: UTF-8, with or without a byte order mark, with any line ends.

    Returns:
        Its text, without the mark, every line end as ``\\n``.

    Raises:
        UsageError: If the file cannot be read or is of another encoding; with the line number and the encoding.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a name with a zero byte
        raise UsageError(f"{str(path)!r}: cannot be read: {error}") from None
    if content.startswith(UTF_16):
        raise UsageError(f"{path}: not UTF-8 text, but UTF-16 from line 1: iconv -f utf-16 -t utf-8 FILE > NEW_FILE")
    content = content.removeprefix(codecs.BOM_UTF8)
    if b"\0" in content:
        line = _line(content, content.index(b"\0"))
        raise UsageError(f"{path}: not UTF-8 text: a zero byte on line {line}, as in UTF-16 or a file that is no text")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: not UTF-8 text (byte {error.start}), but perhaps Windows-1252, on line "
            f"{_line(content, error.start)}: iconv -f cp1252 -t utf-8 FILE > NEW_FILE"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _line(content: bytes, place: int) -> int:
    return content.count(b"\n", 0, place) + 1


def read_json(path: str | Path) -> Any:
    """Read a JSON file; ``//`` comments, which Coqui TTS allows in its configs, are passed over.

    Raises:
        UsageError: If the file cannot be read or is no JSON; with the line number.
    """
    text = read_text(path)
    try:
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            # Line numbers stay: a comment ends before its line does.
            return json.loads(STRING_OR_COMMENT.sub(lambda found: found[0] if found[0][0] == '"' else "", text))
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}, line {error.lineno}: not JSON: {error.msg} (column {error.colno})") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise UsageError(f"{path}: not JSON: {error}") from None
