"""What the indexes of all kinds of source have in common: lengths and places, in packed arrays on disk.

In a run, a table of ten million lines is not in memory: a line is read when its utterance is wanted.
"""

import json
import os
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from evagan_plugin.audio.archive import source_state
from evagan_plugin.audio.recording import Recording
from evagan_plugin.data.index_tables import lines_of
from evagan_plugin.errors import EvaganError, UsageError, some
from evagan_plugin.utils.files import atomic_path, write_text
from evagan_plugin.utils.lock import locked

STATE = "state.json"
FORMAT = 1
"""Changes when what an index holds does."""
LINE_BYTES = 512
"""What is read of a line at a time."""
NAMED = 3
"""Unusable recordings that are kept by name."""


@dataclass
class State:
    """What an index says of its source beside the arrays."""

    tables: dict[str, str]
    """Size and time of change of each table, by its name."""
    format: int = FORMAT
    utterances: int = 0
    hours: float = 0.0
    unusable: int = 0
    """Utterances whose files cannot be opened; none where ``utt2dur`` says how long they are."""
    reasons: tuple[str, ...] = ()
    """Some of them, with why."""
    rates: dict[str, str] | None = None
    """An utterance of each sample rate (Hz) that was seen."""
    numbers: dict[str, int] | None = None
    """Its number, by the rate."""
    files: dict[str, tuple[int, int]] | None = None
    """Of each shard the least bytes that it must have, and its items."""


class PackedIndex(ABC):
    """Utterances of a source by number.

    Args:
        data: Folder of the source.
        folder: Where the index is, made by :meth:`opened`.
        expected: State that it must have; any when None. A spawned worker that opens it again must find what the
            process that sent it has.

    Raises:
        EvaganError: If the tables have changed since the index was made, or its state is another.
    """

    TABLES: ClassVar[tuple[str, ...]]
    """What an index is made from; a change of any makes it anew."""

    def __init__(self, data: Path, folder: Path, expected: State | None = None) -> None:
        self.data, self.folder = data, folder
        # Kept open, so that a table that is replaced meanwhile changes nothing in a run.
        self._tables = {name: os.open(data / name, os.O_RDONLY) for name in self._tables_of(data)}
        state = _read_state(folder)
        if state is None or state.tables != self._tables_of(data) or expected not in (None, state):
            raise EvaganError(f"{data}: its tables, or their index {folder}, have just been changed: start anew")
        self.state = state
        self.seconds = np.load(folder / "seconds.npy", mmap_mode="r")
        """Of each utterance (N,); 0 where it cannot be used."""
        self._lines = np.load(folder / "lines.npy", mmap_mode="r")

    def __reduce__(self) -> tuple:
        return type(self), (self.data, self.folder, self.state)

    def __del__(self) -> None:
        for file in getattr(self, "_tables", {}).values():
            os.close(file)

    def __len__(self) -> int:
        return len(self.seconds)

    @abstractmethod
    def name(self, number: int) -> str:
        """Return the id of an utterance."""

    @abstractmethod
    def open(self, number: int) -> AbstractContextManager[Recording]:
        """Open the audio of an utterance (raises :class:`EvaganError` where it cannot be read)."""

    @abstractmethod
    def remedy(self) -> str:
        """Return what to do where recordings of the source cannot be used."""

    @abstractmethod
    def at_rate(self, sample_rate: int) -> str:
        """Return what makes a source of this one at a rate (Hz)."""

    @classmethod
    def opened(cls, data: Path, folder: Path) -> Self:
        """Return the index of a source; it is made where there is none, or a table has changed since.

        Raises:
            UsageError: If a table is malformed, or not one utterance can be used.
            EvaganError: If the index cannot be written.
        """
        if not cls._is_fresh(data, folder) or cls(data, folder)._is_outdated():
            with locked(folder):
                if not cls._is_fresh(data, folder) or cls(data, folder)._is_outdated():  # still, after we waited
                    (folder / STATE).unlink(missing_ok=True)
                    cls._build(data, folder)
        return cls(data, folder)

    @classmethod
    @abstractmethod
    def _build(cls, data: Path, folder: Path) -> None:
        """Write the index of a source."""

    def _is_outdated(self) -> bool:
        """Return whether it must be made anew although no table has changed."""
        return False

    @classmethod
    def _tables_of(cls, data: Path) -> dict[str, str]:
        return {name: source_state(data / name) for name in cls.TABLES if (data / name).is_file()}

    @classmethod
    def _is_fresh(cls, data: Path, folder: Path) -> bool:
        state = _read_state(folder)
        return state is not None and (state.format, state.tables) == (FORMAT, cls._tables_of(data))


def _read_state(folder: Path) -> State | None:
    try:
        return State(**json.loads((folder / STATE).read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):
        return None  # none yet, or one of another version


def line_at(file: int, offset: int) -> bytes:
    """Return the line of an open file that begins at a byte, without its end."""
    line = b""
    while b"\n" not in line:
        more = os.pread(file, LINE_BYTES, offset + len(line))
        if not more:
            break
        line += more
    return line.partition(b"\n")[0]


def write_index(folder: Path, state: State, arrays: Mapping[str, array]) -> None:
    """Write the arrays of an index and, as the sign that they are whole, its state."""
    for name, values in arrays.items():
        with atomic_path(folder / f"{name}.npy") as path:
            np.save(path, np.frombuffer(values, values.typecode))
    write_text(folder / STATE, json.dumps(asdict(state)))


def check_unique(table: Path, hashes: array) -> None:
    """Check by their hashes that no id stands twice (raises :class:`UsageError` with those that do)."""
    known = np.frombuffer(hashes, np.int64)
    if len(np.unique(known)) < len(known):
        twice = {int(one) for one, times in Counter(hashes).items() if times > 1}
        seen = [name for _, name, _ in lines_of(table) if hash(name) in twice]
        repeated = {name for name, times in Counter(seen).items() if times > 1}
        if repeated:
            raise UsageError(f"{table}: ids stand twice: {some(repeated)}; ids must be unique")
