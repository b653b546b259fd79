"""Data directories of any size: where each utterance's line is and how long it lasts.

Only where the index is made are the recordings of ``segments`` all held at once.
"""

import itertools
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from evagan_plugin.audio.io import read_header
from evagan_plugin.audio.recording import Recording, open_recording
from evagan_plugin.data.index_packed import NAMED, PackedIndex, State, check_unique, line_at, write_index
from evagan_plugin.data.index_tables import Utterance, utterances
from evagan_plugin.data.kaldi import Segment, check_relative
from evagan_plugin.data.segments import READERS
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.utils.progress import track

CHUNK = 8192
"""Files whose headers are asked for at a time."""


class DirIndex(PackedIndex):
    """Utterances of a Kaldi data directory, in the order of ``segments`` or else ``wav.scp``."""

    TABLES = ("wav.scp", "segments", "utt2dur")

    def __init__(self, data: Path, folder: Path, expected: State | None = None) -> None:
        super().__init__(data, folder, expected)
        files = folder / "files.npy"
        self._files = np.load(files, mmap_mode="r") if "segments" in self._tables else self._lines

    def name(self, number: int) -> str:
        """Return the id of an utterance."""
        return self.place(number)[0]

    @contextmanager
    def open(self, number: int) -> Iterator[Recording]:
        """Open the audio of an utterance (raises :class:`EvaganError`, as ``open_recording`` and ``Segment``)."""
        _, path, segment = self.place(number)
        with open_recording(path) as recording:
            if segment is None:
                yield recording
            else:
                yield recording.part(*segment.bounds(len(recording), recording.sample_rate))

    def place(self, number: int) -> tuple[str, str, Segment | None]:
        """Return id, file, and stretch of an utterance."""
        if "segments" not in self._tables:
            utterance, path = line_at(self._tables["wav.scp"], int(self._lines[number])).decode().split(maxsplit=1)
            return utterance, path.strip(), None
        utterance, value = line_at(self._tables["segments"], int(self._lines[number])).decode().split(maxsplit=1)
        _, path = line_at(self._tables["wav.scp"], int(self._files[number])).decode().split(maxsplit=1)
        return utterance, path.strip(), Segment.parse(self.data / "segments", utterance, value)

    def remedy(self) -> str:
        """Return what to do where recordings of the directory cannot be used."""
        return f"if its files were changed since, delete the index {self.folder}"

    def at_rate(self, sample_rate: int) -> str:
        """Return what makes a directory of this one at a rate (Hz)."""
        return f"`evagan format {self.data} OUT --sample-rate {sample_rate}` makes a directory of one rate"

    def _utterance(self, number: int) -> Utterance:
        """Return an utterance as it is asked how long its file is."""
        name, path, segment = self.place(number)
        line, file = int(self._lines[number]), int(self._files[number])
        return Utterance(name, line, file, path, segment.start if segment else 0.0, None)

    def _is_outdated(self) -> bool:
        """Return whether a file that the index calls unusable, or of a rate, is so no more."""
        asked = [(int(rate), number) for rate, number in (self.state.numbers or {}).items()]
        if self.state.unusable:
            asked += [(0, number) for number in np.flatnonzero(self.seconds == 0).tolist()]
        with ThreadPoolExecutor(READERS) as pool:
            for batch in itertools.batched(asked, READERS):
                found = pool.map(_measure, (self._utterance(number) for _, number in batch))
                if any(rate != before for (before, _), (_, rate, _) in zip(batch, found, strict=True)):
                    return True
        return False

    @classmethod
    def _build(cls, data: Path, folder: Path) -> None:
        state = State(cls._tables_of(data), rates={}, numbers={})
        lines, files, seconds, names = array("Q"), array("Q"), array("f"), array("q")
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
        check_unique(data / ("segments" if "segments" in state.tables else "wav.scp"), names)
        state.utterances, state.hours = len(seconds), sum(seconds) / 3600
        if not state.hours:
            why = "".join(f"; {one}" for one in state.reasons)
            raise UsageError(f"{data}: no utterance in it that can be used{why}")
        arrays = {"lines": lines, "seconds": seconds} | ({"files": files} if "segments" in state.tables else {})
        write_index(folder, state, arrays)


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
    data = Path(data)
    if not (data / "wav.scp").is_file():
        what = "has no wav.scp" if data.is_dir() else "is not a directory"
        raise UsageError(f"{data}: {what}; a Kaldi data directory with wav.scp is needed")
    return DirIndex.opened(data, Path(folder))


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
