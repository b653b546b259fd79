"""Entries of Kaldi archives: ``FILE.ark:OFFSET``, of audio (``wav.ark``, ``flac.ark``) or of features."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from evagan_plugin.audio.pipe import Pipe
from evagan_plugin.errors import EvaganError

ARCHIVED = re.compile(r"\.ark:(\d+)$")
"""How the place of an entry in a Kaldi archive ends."""
MEMORY_FILES = hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd")
"""Whether a file can be in memory alone, and have a name (Linux)."""
RIFF, MARKED = b"RIFF", b"AUDIO"
"""How audio begins: a WAV file as it is (Kaldi), or any file after this mark and its length (ESPnet)."""


def archive_of(place: str | Path) -> Path:
    """Return the file that a place is in: the archive of an entry, any other file itself."""
    return Path(ARCHIVED.sub(".ark", str(place)))


def holds_audio(place: str | Path) -> bool:
    """Whether an entry of an archive begins as audio does; not if it cannot be read."""
    try:
        with archive_of(place).open("rb") as archive:
            archive.seek(int(ARCHIVED.search(str(place))[1]))
            return archive.read(len(MARKED)).startswith((RIFF, MARKED))
    except OSError:
        return False


def source_state(place: str | Path) -> str:
    """Return what changes when a file does, or the archive that a place is in: size and time of change (ns);
    ``missing`` where there is none, ``pipe`` of a command."""
    if isinstance(place, Pipe):
        return "pipe"
    try:
        stat = archive_of(place).stat()
    except OSError:
        return "missing"
    return f"{stat.st_size} {stat.st_mtime_ns}"


@contextmanager
def audio_file(place: str | Path) -> Iterator[Path]:
    """Yield a file with the audio of a place: itself, or what an archive or a command has, written out for as long.

    Raises:
        EvaganError: If the archive cannot be read or has no audio there, or the command fails; errors inside name the
            place, not the file.
    """
    found = ARCHIVED.search(str(place))
    if found:
        try:
            with archive_of(place).open("rb") as archive:
                archive.seek(int(found[1]))
                content = _entry(archive, place)
        except OSError as error:
            raise _unreadable(place, error) from error
        with file_of(content, place) as path:
            yield path
    elif isinstance(place, Pipe):
        with tempfile.NamedTemporaryFile() as file:
            try:
                place.write_to(file)
                file.flush()
            except OSError as error:
                raise _unreadable(place, error) from error
            with _named(place, file.name):
                yield Path(file.name)
    else:
        yield Path(place)


@contextmanager
def file_of(content: bytes, place: str | Path) -> Iterator[Path]:
    """Yield a file that has these bytes for as long, in memory where the system has such files.

    Args:
        content: What audio there is.
        place: Where it is from: what errors inside name.
    """
    with os.fdopen(os.memfd_create("audio"), "wb") if MEMORY_FILES else tempfile.NamedTemporaryFile() as file:
        name = f"/proc/self/fd/{file.fileno()}" if MEMORY_FILES else file.name
        try:
            file.write(content)
            file.flush()
        except OSError as error:
            raise _unreadable(place, error) from error
        with _named(place, name):
            yield Path(name)


@contextmanager
def _named(place: str | Path, file: str) -> Iterator[None]:
    """Let errors inside name a place and not the file that stands for it."""
    try:
        yield
    except EvaganError as error:
        raise type(error)(str(error).replace(file, str(place))) from error


def _unreadable(place: str | Path, error: OSError) -> EvaganError:
    return EvaganError(f"{place}: cannot be read: {error.strerror or error}")


def _entry(archive: BinaryIO, place: str | Path) -> bytes:
    mark = archive.read(len(MARKED))
    if mark == MARKED:
        length = int.from_bytes(archive.read(int.from_bytes(archive.read(1))), "little")
        head = b""
    elif mark.startswith(RIFF):
        head = mark + archive.read(8 - len(mark))
        length = int.from_bytes(head[4:], "little")
    else:
        raise EvaganError(f"{place}: no audio there; features in an archive belong in a feats.scp")
    content = archive.read(length)
    if len(content) < length:
        raise EvaganError(f"{place}: truncated: its header states {length} bytes, the archive holds {len(content)}")
    return head + content
