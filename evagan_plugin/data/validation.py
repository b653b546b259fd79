"""Validation of a Kaldi data directory, as Kaldi's ``utils/validate_data_dir.sh``: everything that is wrong, by line.

Beyond Kaldi, audio is opened. Of what Kaldi asks for, a transcript of every utterance is not needed, and speakers need
not be prefixes of their utterances' ids.
"""

import codecs
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from evagan_plugin.audio.features import check_features
from evagan_plugin.audio.io import AudioHeader, read_header
from evagan_plugin.audio.pipe import MARK
from evagan_plugin.data.kaldi import MAY_LACK, OPTIONAL_TABLES, Scan, Segment, scan_table
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.utils.progress import track

WAV, SEGMENTS, UTT2SPK, SPK2UTT, FEATS = "wav.scp", "segments", "utt2spk", "spk2utt", "feats.scp"
NEEDED = {
    WAV: "a Kaldi data directory has one",
    UTT2SPK: "'<utterance> <speaker>' lines; where speakers are not known each utterance is its own",
    SPK2UTT: "'<speaker> <utterance> <utterance> ...' lines, which follow from utt2spk",
}
"""Files that must be there, and what they are."""
NUMBERS: dict[str, Callable[[str], float]] = {"utt2dur": float, "utt2num_samples": int}
"""Tables of positive numbers, and what reads one."""


@dataclass(frozen=True)
class Validation:
    """What was found in a data directory."""

    path: Path
    problems: list[str]
    """One line each, with the file and, where there is one, the line in it; in the order of files and lines."""
    utterances: int
    speakers: int
    recordings: int
    transcripts: int
    hours: float | None
    """Of all recordings; None where audio was not looked at, or there are pipes."""

    @property
    def counts(self) -> str:
        """What it has, in one line."""
        hours = "audio not opened" if self.hours is None else f"{self.hours:.2f} h"
        return (
            f"{self.path}: {self.utterances} utterances of {self.speakers} speakers in {self.recordings} recordings, "
            f"{hours}, {self.transcripts} transcripts"
        )


def validate_data_dir(path: Path, audio: bool = True, jobs: int = 1) -> Validation:
    """Look for everything that is wrong with a data directory: tables, their agreement, and the files that they name.

    Args:
        path: The directory.
        audio: Whether the files of ``wav.scp`` and ``feats.scp`` are opened, and segments compared with their length.
        jobs: Files opened at a time.

    Raises:
        UsageError: If it is no directory.
    """
    if not path.is_dir():
        raise UsageError(f"{path}: is not a directory; a Kaldi data directory with {WAV} is needed")
    found = _Tables(path)
    headers = found.open_files(jobs) if audio else {}
    found.compare(headers)
    tables = found.tables
    seconds = [header.frames / header.sample_rate for header in headers.values() if header]
    whole = WAV in tables and len(seconds) == len(tables[WAV].lines)
    return Validation(
        path=path,
        problems=found.problems(),
        utterances=len(found.utterances.lines),
        speakers=len(set(tables[UTT2SPK].table.values())) if UTT2SPK in tables else 0,
        recordings=len(tables[WAV].lines) if WAV in tables else 0,
        transcripts=len(tables["text"].table) if "text" in tables else 0,
        hours=sum(seconds) / 3600 if audio and whole else None,
    )


class _Tables:
    """The tables of a directory, and what is wrong with them.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tables: dict[str, Scan] = {}
        self.files = list(dict.fromkeys([WAV, SEGMENTS, UTT2SPK, SPK2UTT, *OPTIONAL_TABLES.values()]))
        self._problems: dict[str, list[tuple[int, str]]] = {file: [] for file in self.files}
        for file in self.files:
            self._read(file)
        self.source = SEGMENTS if (path / SEGMENTS).exists() else WAV
        self.utterances = self.tables.get(self.source) or Scan({}, {}, [])

    def problems(self) -> list[str]:
        """Return all problems, in the order of files and lines; those of a whole file first."""
        return [text for file in self.files for _, text in sorted(self._problems[file], key=lambda one: one[0])]

    def add(self, file: str, line: int, what: str) -> None:
        """Add a problem of a line, or of a whole file (0)."""
        self._problems[file].append((line, f"{self.path / file}{f':{line}' if line else ''}: {what}"))

    def _read(self, file: str) -> None:
        path = self.path / file
        if not path.exists():
            if file in NEEDED:
                self.add(file, 0, f"is missing: {NEEDED[file]}")
            return
        try:
            scan = scan_table(path, values_needed=file not in MAY_LACK)
        except UsageError as error:
            self._problems[file].append((0, str(error)))
            return
        self.tables[file] = scan
        self._problems[file] += scan.problems
        content = path.read_bytes()
        if content.startswith(codecs.BOM_UTF8):
            self.add(file, 1, "begins with a byte order mark, which Kaldi takes for a part of the first id")
        if b"\r" in content:
            self.add(file, content.count(b"\n", 0, content.index(b"\r")) + 1, "ends in a carriage return (dos2unix)")
        for number, line in enumerate(content.splitlines(), 1):
            if not line.strip():
                self.add(file, number, "an empty line")
        if not scan.lines:
            self.add(file, 0, "no lines in it")
        # Python compares code points, whose order is that of UTF-8's bytes.
        unsorted = next(((one, other) for one, other in pairwise(scan.lines) if other < one), None)
        if unsorted:
            before, after = unsorted
            self.add(file, scan.lines[after], f"'{after}' stands after '{before}': not sorted (LC_ALL=C sort)")

    def open_files(self, jobs: int) -> dict[str, AudioHeader | None]:
        """Open the files that tables name; return the header of each recording, None of a pipe."""
        headers: dict[str, AudioHeader | None] = {}
        with ThreadPoolExecutor(jobs) as pool:
            for file, read in {WAV: _header, FEATS: check_features}.items():
                if file not in self.tables:
                    continue
                table = self.tables[file].table
                done = pool.map(lambda place, read=read: _attempt(read, place), table.values())
                for key, result in zip(table, track(done, file, len(table)), strict=True):
                    if isinstance(result, EvaganError):
                        self.add(file, self.tables[file].lines[key], f"'{key}': {result}")
                    elif file == WAV:
                        headers[key] = result
        return headers

    def compare(self, headers: dict[str, AudioHeader | None]) -> None:
        """Look for what tables say differently, and for segments that are not in their recordings."""
        if SEGMENTS in self.tables:
            self._compare_segments(headers)
        for file, scan in self.tables.items():
            if file not in (WAV, SEGMENTS, SPK2UTT) and self.source in self.tables:
                self._compare_keys(file, scan)
        for utterance, speaker in self._values(UTT2SPK):
            if len(speaker.split()) != 1:
                self.add(UTT2SPK, self.tables[UTT2SPK].lines[utterance], f"'{speaker}' is not one speaker's id")
        if {UTT2SPK, SPK2UTT} <= self.tables.keys():
            self._compare_speakers()
        for file, read in NUMBERS.items():
            for utterance, value in self._values(file):
                if not _is_positive(read, value):
                    self.add(file, self.tables[file].lines[utterance], f"'{value}' is no positive number")

    def _values(self, file: str) -> Iterator[tuple[str, str]]:
        yield from self.tables[file].table.items() if file in self.tables else ()

    def _compare_keys(self, file: str, scan: Scan) -> None:
        for key, line in scan.lines.items():
            if key not in self.utterances.lines:
                self.add(file, line, f"'{key}' is not in {self.source}")
        for key, line in self.utterances.lines.items() if file not in MAY_LACK else ():
            if key not in scan.lines:
                self.add(file, 0, f"'{key}' is missing, which is in {self.source}:{line}")

    def _compare_segments(self, headers: dict[str, AudioHeader | None]) -> None:
        recordings = self.tables.get(WAV)
        used = set()
        for utterance, value in self._values(SEGMENTS):
            line = self.tables[SEGMENTS].lines[utterance]
            try:
                segment = Segment.parse(f"{self.path / SEGMENTS}:{line}", utterance, value)
            except UsageError as error:
                self._problems[SEGMENTS].append((line, str(error)))
                used.add(value.split()[0])
                continue
            used.add(segment.recording)
            if recordings and segment.recording not in recordings.lines:
                self.add(SEGMENTS, line, f"recording '{segment.recording}' of '{utterance}' is not in {WAV}")
            elif header := headers.get(segment.recording):
                try:
                    segment.bounds(header.frames, header.sample_rate)
                except EvaganError as error:
                    self.add(SEGMENTS, line, f"'{utterance}': {error}")
        for recording, line in recordings.lines.items() if recordings else ():
            if recording not in used:
                self.add(WAV, line, f"recording '{recording}' has no segment")

    def _compare_speakers(self) -> None:
        speakers, lines = self.tables[UTT2SPK], self.tables[SPK2UTT].lines
        seen: dict[str, int] = {}
        for speaker, value in self._values(SPK2UTT):
            line = lines[speaker]
            for utterance in value.split():
                if utterance in seen:
                    self.add(SPK2UTT, line, f"'{utterance}' stands twice, first on line {seen[utterance]}")
                elif utterance not in speakers.lines:
                    self.add(SPK2UTT, line, f"'{utterance}' of '{speaker}' is not in {UTT2SPK}")
                elif (other := speakers.table.get(utterance)) != speaker:
                    where = f"{UTT2SPK}:{speakers.lines[utterance]}"
                    self.add(SPK2UTT, line, f"'{utterance}' is of '{speaker}' here, in {where} of '{other}'")
                seen.setdefault(utterance, line)
        for utterance, line in speakers.lines.items():
            if utterance not in seen:
                self.add(SPK2UTT, 0, f"'{utterance}' is missing, which is in {UTT2SPK}:{line}")


def _header(place: str) -> AudioHeader | None:
    """Return the header of a recording; None of a pipe, which is not run (raises :class:`EvaganError`)."""
    if place.endswith(MARK):
        return None
    header = read_header(place)
    if not header.frames:
        raise EvaganError(f"{place}: no samples in it")
    return header


def _attempt[Result](read: Callable[[str], Result], place: str) -> Result | EvaganError:
    try:
        return read(place)
    except EvaganError as error:
        return error


def _is_positive(read: Callable[[str], float], value: str) -> bool:
    try:
        return 0 < read(value) < float("inf")
    except ValueError:
        return False
