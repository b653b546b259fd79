"""Data directories of any size: where each utterance's line is and how long it lasts, in packed arrays on disk.

In a run, a table of ten million lines is not in memory: a line is read when its utterance is wanted. Only where the
index is made are the recordings of ``segments`` all held at once.
"""

import itertools
import json
import os
from array import array
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from evagan_plugin.audio.archive import source_state
from evagan_plugin.audio.io import read_header
from evagan_plugin.audio.recording import Recording, open_recording
from evagan_plugin.data.index_tables import Utterance, lines_of, utterances
from evagan_plugin.data.kaldi import Segment, check_relative
from evagan_plugin.data.segments import READERS
from evagan_plugin.errors import EvaganError, UsageError, some
from evagan_plugin.utils.files import atomic_path, write_text
from evagan_plugin.utils.lock import locked
from evagan_plugin.utils.progress import track

TABLES = ("wav.scp", "segments", "utt2dur")
"""What an index is made from; a change of any makes it anew."""
STATE = "state.json"
FORMAT = 1
"""Changes when what an index holds does."""
LINE_BYTES = 512
"""What is read of a line at a time."""
CHUNK = 8192
"""Files whose headers are asked for at a time."""
NAMED = 3
"""Unusable recordings that are kept by name."""


@dataclass
class State:
    """What an index says of its directory beside the arrays."""

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


class DirIndex:
    """Utterances of a Kaldi data directory by number, in the order of ``segments`` or else ``wav.scp``.

    Args:
        data: The directory.
        folder: Where the index is, made by :func:`open_dir`.
        expected: State that it must have; any when None. A spawned worker that opens it again must find what the
            process that sent it has.

    Raises:
        EvaganError: If the tables have changed since the index was made, or its state is another.
    """

    def __init__(self, data: Path, folder: Path, expected: State | None = None) -> None:
        self.data, self.folder = data, folder
        # Kept open, so that a table that is replaced meanwhile changes nothing in a run.
        self._wav = os.open(data / "wav.scp", os.O_RDONLY)
        state = _read_state(folder)
        if state is None or state.tables != _state_of(data) or expected not in (None, state):
            raise EvaganError(f"{data}: its tables, or their index {folder}, have just been changed: start anew")
        self.state = state
        self.seconds = np.load(folder / "seconds.npy", mmap_mode="r")
        """Of each utterance (N,); 0 where it cannot be used."""
        self._lines = np.load(folder / "lines.npy", mmap_mode="r")
        files = folder / "files.npy"
        self._files = np.load(files, mmap_mode="r") if files.is_file() else None
        self._segments = None if self._files is None else os.open(data / "segments", os.O_RDONLY)

    def __reduce__(self) -> tuple:
        return DirIndex, (self.data, self.folder, self.state)

    def __del__(self) -> None:
        for file in (getattr(self, "_wav", None), getattr(self, "_segments", None)):
            if file is not None:
                os.close(file)

    def __len__(self) -> int:
        return len(self.seconds)

    def name(self, number: int) -> str:
        """Return the id of an utterance."""
        return self._place(number)[0]

    @contextmanager
    def open(self, number: int) -> Iterator[Recording]:
        """Open the audio of an utterance (raises :class:`EvaganError`, as ``open_recording`` and ``Segment``)."""
        _, path, segment = self._place(number)
        with open_recording(path) as recording:
            if segment is None:
                yield recording
            else:
                yield recording.part(*segment.bounds(len(recording), recording.sample_rate))

    def utterance(self, number: int) -> Utterance:
        """Return an utterance as it is asked how long its file is."""
        name, path, segment = self._place(number)
        line, file = int(self._lines[number]), int((self._lines if self._files is None else self._files)[number])
        return Utterance(name, line, file, path, segment.start if segment else 0.0, None)

    def _place(self, number: int) -> tuple[str, str, Segment | None]:
        """Return id, file, and stretch of an utterance."""
        if self._segments is None:
            utterance, path = _line_at(self._wav, int(self._lines[number])).split(maxsplit=1)
            return utterance, path.strip(), None
        utterance, value = _line_at(self._segments, int(self._lines[number])).split(maxsplit=1)
        _, path = _line_at(self._wav, int(self._files[number])).split(maxsplit=1)
        return utterance, path.strip(), Segment.parse(self.data / "segments", utterance, value)


def open_dir(data: str | Path, folder: str | Path) -> DirIndex:
    """Return the index of a data directory; it is made where there is none, or its tables have changed since.

    How long an utterance lasts is what ``utt2dur`` says, or ``segments``; without these every file's header is read.
    Those that could not be used are asked again each time, and one of each sample rate: a file that was mended in place
    changes no table. Of one that was usable before and has another length now, nothing is known: delete ``folder``.

    Args:
        data: Directory with ``wav.scp``, and perhaps ``segments`` and ``utt2dur``.
        folder: Where the index lies or is to lie.

    Raises:
        UsageError: If the directory or ``wav.scp`` is missing, a table is malformed, or not one utterance can be used.
        EvaganError: If the index cannot be written.
    """
    data, folder = Path(data), Path(folder)
    if not (data / "wav.scp").is_file():
        what = "has no wav.scp" if data.is_dir() else "is not a directory"
        raise UsageError(f"{data}: {what}; a Kaldi data directory with wav.scp is needed")
    if not _is_fresh(data, folder) or _mended(DirIndex(data, folder)):
        with locked(folder):
            if not _is_fresh(data, folder) or _mended(DirIndex(data, folder)):  # still, after we waited
                _build(data, folder)
    return DirIndex(data, folder)


def _state_of(data: Path) -> dict[str, str]:
    return {name: source_state(data / name) for name in TABLES if (data / name).is_file()}


def _read_state(folder: Path) -> State | None:
    try:
        return State(**json.loads((folder / STATE).read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):
        return None  # none yet, or one of another version


def _is_fresh(data: Path, folder: Path) -> bool:
    state = _read_state(folder)
    return state is not None and (state.format, state.tables) == (FORMAT, _state_of(data))


def _mended(index: DirIndex) -> bool:
    """Return whether a file that the index calls unusable, or of a rate, is so no more."""
    asked = [(int(rate), number) for rate, number in (index.state.numbers or {}).items()]
    if index.state.unusable:
        asked += [(0, number) for number in np.flatnonzero(index.seconds == 0).tolist()]
    with ThreadPoolExecutor(READERS) as pool:
        for batch in itertools.batched(asked, READERS):
            found = pool.map(_measure, (index.utterance(number) for _, number in batch))
            if any(rate != before for (before, _), (_, rate, _) in zip(batch, found, strict=True)):
                return True
    return False


def _line_at(file: int, offset: int) -> str:
    """Return the line of an open file that begins at a byte."""
    line = b""
    while b"\n" not in line:
        more = os.pread(file, LINE_BYTES, offset + len(line))
        if not more:
            break
        line += more
    return line.partition(b"\n")[0].decode()


def _build(data: Path, folder: Path) -> None:
    state = State(_state_of(data), rates={}, numbers={})
    lines, files, seconds, names = array("Q"), array("Q"), array("f"), array("q")
    (folder / STATE).unlink(missing_ok=True)
    for batch in itertools.batched(track(utterances(data), f"index {data}"), CHUNK):
        if not lines:
            check_relative(data / "wav.scp", [one.path for one in batch])
        with ThreadPoolExecutor(READERS) as pool:
            for one, (duration, rate, problem) in zip(batch, pool.map(_measure, batch), strict=True):
                lines.append(one.line)
                files.append(one.file)
                seconds.append(duration)
                names.append(hash(one.name))
                if rate and str(rate) not in state.rates:
                    state.rates[str(rate)], state.numbers[str(rate)] = one.name, len(lines) - 1
                if problem:
                    state.unusable += 1
                    state.reasons = (*state.reasons, f"{one.name} ({problem})")[:NAMED]
    _check_names(data, names)
    state.utterances, state.hours = len(seconds), sum(seconds) / 3600
    if not state.hours:
        raise UsageError(f"{data}: no utterance in it that can be used" + "".join(f"; {one}" for one in state.reasons))
    arrays = {"lines": lines, "seconds": seconds} | ({"files": files} if "segments" in state.tables else {})
    (folder / "files.npy").unlink(missing_ok=True)
    for name, values in arrays.items():
        with atomic_path(folder / f"{name}.npy") as path:
            np.save(path, np.frombuffer(values, values.typecode))
    write_text(folder / STATE, json.dumps(asdict(state)))


def _measure(utterance: Utterance) -> tuple[float, int, str]:
    """Return how long an utterance lasts (seconds), its rate (Hz) if its file was asked, and why it cannot be used."""
    if utterance.seconds is not None:
        return utterance.seconds, 0, ""
    try:
        header = read_header(utterance.path)
    except EvaganError as error:
        return 0.0, 0, str(error)
    seconds = header.frames / header.sample_rate - utterance.start
    return (seconds, header.sample_rate, "") if seconds > 0 else (0.0, 0, f"{utterance.path}: no samples in it")


def _check_names(data: Path, names: array) -> None:
    """Check by their hashes that no id stands twice; the table itself says which one it is."""
    hashes = np.frombuffer(names, np.int64)
    if len(np.unique(hashes)) < len(hashes):
        twice = {int(one) for one, times in Counter(names).items() if times > 1}
        table = data / ("segments" if (data / "segments").is_file() else "wav.scp")
        seen = [name for _, name, _ in lines_of(table) if hash(name) in twice]
        repeated = {name for name, times in Counter(seen).items() if times > 1}
        if repeated:
            raise UsageError(f"{table}: ids stand twice: {some(repeated)}; ids must be unique")
