"""The tables of a data directory read line by line: where each line is, and how long its utterance lasts."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from evagan_plugin.data.kaldi import Segment, read_scp, read_table
from evagan_plugin.errors import UsageError
from evagan_plugin.utils.files import read_text


@dataclass(frozen=True)
class Utterance:
    """A line of the table that lists the utterances."""

    name: str
    line: int
    """Byte of ``segments``, or else of ``wav.scp``, where its line begins."""
    file: int
    """Byte of ``wav.scp`` where the line of its file begins."""
    path: str
    start: float
    """Seconds of the file before it."""
    seconds: float | None
    """None where the file has to be asked."""


def utterances(data: Path) -> Iterator[Utterance]:
    """Yield the utterances of a data directory in their order (raises :class:`UsageError` for a malformed table)."""
    durations = _durations(data / "utt2dur") if (data / "utt2dur").is_file() else None
    recordings = lines_of(data / "wav.scp")
    if not (data / "segments").is_file():
        for line, name, path in recordings:
            if path.endswith("|"):
                read_scp(data / "wav.scp")  # which says what is wrong
            yield Utterance(name, line, line, path, 0.0, durations(name) if durations else None)
        return
    places = {name: (line, path) for line, name, path in recordings}
    for line, name, value in lines_of(data / "segments"):
        segment = Segment.parse(data / "segments", name, value)
        if segment.recording not in places:
            raise UsageError(f"{data}/segments: recordings that wav.scp lacks: {segment.recording}")
        seconds = segment.end - segment.start if segment.end != -1 else None
        seconds = durations(name) if durations else seconds
        yield Utterance(name, line, *places[segment.recording], segment.start, seconds)


def lines_of(table: Path, values_needed: bool = True) -> Iterator[tuple[int, str, str]]:
    """Yield where each line of a table begins (bytes), its key and its value, which is empty where none is needed."""
    offset = 0
    with table.open("rb") as stream:
        for line in stream:
            parts = _decoded(table, line, offset).split(maxsplit=1)
            if len(parts) == 1 and values_needed:
                read_table(table)  # which says what is wrong, and where
            if parts:
                yield offset, parts[0], parts[1].strip() if len(parts) > 1 else ""
            offset += len(line)


def _decoded(table: Path, line: bytes, offset: int) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        read_text(table)  # which says what is wrong, and where
        raise
    if (offset == 0 and text.startswith("\ufeff")) or "\r" in text.rstrip("\r\n") or "\0" in text:
        read_text(table)
        raise UsageError(f"{table}: a byte order mark or line ends of another system: dos2unix {table}")
    return text


def in_order[T](pairs: Iterator[tuple[str, T]]) -> Callable[[str], T | None]:
    """Return a function from keys, asked for once each and best in the order of the pairs, to values; None without."""
    passed: dict[str, T] = {}

    def find(key: str) -> T | None:
        while key not in passed:
            found = next(pairs, None)
            if found is None:
                return None
            passed[found[0]] = found[1]
        return passed.pop(key)

    return find


def _durations(table: Path) -> Callable[[str], float]:
    """Return a function from ids to seconds, as :func:`in_order`."""
    value_of = in_order((name, value) for _, name, value in lines_of(table))

    def find(name: str) -> float:
        value = value_of(name)
        if value is None:
            raise UsageError(f"{table}: '{name}' is not in it, or the id stands twice elsewhere")
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            raise UsageError(f"{table}: '{name} {value}' is not '<id> <seconds>', a finite number of at least 0")
        return seconds

    return find
