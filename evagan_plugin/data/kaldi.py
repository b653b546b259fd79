"""Kaldi data directories: ``wav.scp utt2spk spk2utt utt2dur`` and their like, read, checked and written."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from evagan_plugin.audio.archive import archive_of
from evagan_plugin.audio.pipe import MARK, Pipe
from evagan_plugin.errors import EvaganError, UsageError, some
from evagan_plugin.utils.files import read_text, write_text

SEGMENT_OVERSHOOT = 0.5
"""Seconds by which a segment may end after its recording, as in Kaldi's ``extract-segments``; it is then cut."""
BAD_KEY = re.compile(r"[\s/]|^\.|^$")
"""What no key of a table may have: white space, which ends it, and what cannot stand in the name of its file."""


class Scan(NamedTuple):
    """A table as far as it can be read, and all that is wrong with its lines."""

    table: dict[str, str]
    """Values by key; of a key that stands twice, the first."""
    lines: dict[str, int]
    """Number of the line of each key, also of one without a value."""
    problems: list[tuple[int, str]]
    """Number of a line, and what is wrong with it, file and number in front; in their order."""


def scan_table(path: str | Path, values_needed: bool = True) -> Scan:
    """Read ``key value`` lines, as :func:`read_table`, and say everything that it would refuse.

    Raises:
        UsageError: If the file is missing or no UTF-8 text.
    """
    path = Path(path)
    scan = Scan({}, {}, [])
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        key, *rest = line.split(maxsplit=1)
        for wrong in _faults(key, rest, scan.lines, values_needed):
            scan.problems.append((number, f"{path}:{number}: {wrong}"))
        if key not in scan.lines:
            scan.lines[key] = number
            if rest:
                scan.table[key] = rest[0].strip()
    return scan


def _faults(key: str, rest: list[str], lines: Mapping[str, int], value_needed: bool) -> Iterator[str]:
    """Yield what is wrong with a line, given those before it."""
    if not rest and value_needed:
        yield f"'{key}' has nothing after it; a line is '<id> <value>'"
    if key in lines:
        yield f"duplicate id '{key}', first on line {lines[key]}; ids must be unique"
    elif BAD_KEY.search(key):
        yield f"id '{key}' cannot name a file: no '/' in it, no '.' at its start"


def read_table(path: str | Path, values_needed: bool = True) -> dict[str, str]:
    """Read ``key value`` lines; the value is everything after the first white space, spaces included.

    Blank lines are skipped, and lines without a value where none is needed. The keys become names of files, so a key
    may hold no ``/`` and not begin with a dot.

    Raises:
        UsageError: If the file is missing or no UTF-8 text, a key stands twice or has no value; with the line number.
    """
    scan = scan_table(path, values_needed)
    if scan.problems:
        raise UsageError(scan.problems[0][1])
    return scan.table


def read_scp(path: str | Path, pipes: bool = False) -> dict[str, str]:
    """Read a script file (``wav.scp``, ``feats.scp``): utterance or recording id to file name.

    A file name may hold spaces. As in Kaldi, a relative one is relative to the current directory.

    Args:
        path: The file.
        pipes: Whether pipes (``command |``) are taken, as :class:`~evagan_plugin.audio.pipe.Pipe`.

    Raises:
        UsageError: As :func:`read_table`; also for an empty file, and for a pipe where it is not taken.
    """
    table = read_table(path)
    if not table:
        raise UsageError(f"{path}: no utterances in it")
    for key, value in table.items():
        if value.endswith(MARK) and not pipes:
            raise UsageError(
                f"{path}: '{key}' is a pipe ('{value}'), which is not run: convert it to a file first "
                "(of audio that you trust: `evagan format DIR OUT_DIR --sample-rate HZ --allow-pipes`)"
            )
    return {key: Pipe(value) if value.endswith(MARK) else value for key, value in table.items()}


def check_relative(table: str | Path, places: Iterable[str]) -> None:
    """Raise :class:`UsageError` if a script file has relative paths and not one leads to a file.

    Args:
        table: The script file.
        places: What :func:`read_scp` has read from it.
    """
    relative = [place for place in places if not (isinstance(place, Pipe) or Path(place).is_absolute())]
    if not relative or any(archive_of(place).exists() for place in relative):
        return
    above = Path(table).absolute().parents
    there = next((folder for folder in above if archive_of(folder / relative[0]).exists()), None)
    hint = f": cd {there}" if there else ""
    raise UsageError(
        f"{table}: {relative[0]} is not there, nor is any other of its {len(relative)} relative paths; they count from "
        f"where you stand, {Path.cwd()}{hint}"
    )


def read_wav_scp(path: str | Path, pipes: bool = False) -> dict[str, str]:
    """Read the audio file of each utterance from a ``wav.scp``.

    Raises:
        UsageError: As :func:`read_scp`; also if ``segments`` lie beside it, so that it lists recordings and not
            utterances.
    """
    check_no_segments(path)
    return read_scp(path, pipes)


def check_no_segments(wav_scp: str | Path) -> None:
    """Check that a ``wav.scp`` lists utterances, not recordings with ``segments`` beside (raises UsageError)."""
    folder = Path(wav_scp).parent
    if (folder / "segments").is_file():
        raise UsageError(
            f"{folder} has segments: cut its recordings into utterances first, with "
            f"`evagan format {folder} OUT_DIR --sample-rate HZ`, and give OUT_DIR"
        )


def safe_key(name: str) -> str:
    """Return a name as it can be a key of a table: ``_`` for white space, ``-`` for ``/``, no dot at its start."""
    return re.sub(r"\s+", "_", name.replace("/", "-")).lstrip(".") or "audio"


def write_table(path: str | Path, table: Mapping[str, object]) -> None:
    """Write ``key value`` lines sorted by key in byte order (Kaldi's ``LC_ALL=C``), whole or not at all.

    Raises:
        UsageError: If a line would not be read back as it is: a key has white space or ``/`` or begins with a dot; a
            value is empty, has a line break or outer white space, or is no UTF-8 (a file name of an older system).
    """
    for key, value in table.items():
        if BAD_KEY.search(key):
            raise UsageError(f"{path}: {key!r} cannot be an id: no white space or '/' in it, no '.' at its start")
        text = str(value)
        if not text or text != text.strip() or "\n" in text or not _is_unicode(text):
            raise UsageError(f"{path}: {text!r} of '{key}' cannot stand in a table: rename the file, or mend the text")
    write_text(path, "".join(f"{key} {table[key]}\n" for key in sorted(table)))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording."""

    recording: str
    start: float
    """Seconds."""
    end: float
    """Seconds; -1 is the end of the recording."""

    @classmethod
    def parse(cls, path: str | Path, utterance: str, value: str) -> "Segment":
        """Read what stands after an utterance's id in ``segments`` (raises :class:`UsageError` naming ``path``)."""
        try:
            recording, start, end = value.split()
            segment = cls(recording, float(start), float(end))
        except ValueError:
            raise UsageError(f"{path}: '{utterance} {value}' is not '<utterance> <recording> <start> <end>'") from None
        bounds_ok = segment.start >= 0 and (segment.end > segment.start or segment.end == -1)
        if not bounds_ok or not math.isfinite(segment.start + segment.end):
            raise UsageError(f"{path}: '{utterance}' begins at {start} s and ends at {end} s")
        return segment

    def bounds(self, samples: int, sample_rate: int) -> tuple[int, int]:
        """Return its first sample in a recording of so many, and the one after its last.

        Raises:
            EvaganError: If it is not inside the recording.
        """
        first = round(self.start * sample_rate)
        last = samples if self.end == -1 else min(round(self.end * sample_rate), samples)
        length = samples / sample_rate
        if first >= last or self.end > length + SEGMENT_OVERSHOOT:
            raise EvaganError(f"segment {self.start} to {self.end} s is not inside the recording of {length:.3f} s")
        return first, last


@dataclass
class DataDir:
    """What a Kaldi data directory holds; every table is by utterance id unless said otherwise."""

    wav: dict[str, str]
    """``wav.scp``: audio file, by utterance id; by recording id if there are segments."""
    utt2spk: dict[str, str] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)
    """Transcripts; the only table that may lack utterances."""
    lang: dict[str, str] = field(default_factory=dict)
    """``utt2lang``: language."""
    feats: dict[str, str] = field(default_factory=dict)
    """``feats.scp``: matrix of features ``(frames, bands)``."""
    segments: dict[str, Segment] = field(default_factory=dict)
    utt2dur: dict[str, str] = field(default_factory=dict)
    """Seconds, as written in the file."""
    utt2num_samples: dict[str, str] = field(default_factory=dict)
    category: dict[str, str] = field(default_factory=dict)
    """``utt2kind``: what is to be heard, e.g. ``speech`` or ``drums``; scores are reported by it."""
    batch_category: dict[str, str] = field(default_factory=dict)
    """``utt2category``: ESPnet's, which sorts batches by words of its own."""

    @property
    def utterances(self) -> list[str]:
        """Ids of all utterances, sorted."""
        return sorted(self.segments or self.wav)

    @classmethod
    def read(cls, path: str | Path, pipes: bool = False, audio: bool = False) -> "DataDir":
        """Read and check a directory; ``wav.scp`` must be there, the rest may be missing.

        Args:
            path: The directory.
            pipes: Whether ``wav.scp`` may have pipes.
            audio: Whether its audio is to be read, so that paths of ``wav.scp`` must lead to files from here.

        Raises:
            UsageError: If the directory or ``wav.scp`` is missing, a line is malformed, or the files disagree about
                the utterances, or :func:`check_relative` finds that paths count from elsewhere.
        """
        path = Path(path)
        if not (path / "wav.scp").is_file():
            what = "has no wav.scp" if path.is_dir() else "is not a directory"
            raise UsageError(f"{path}: {what}; a Kaldi data directory with wav.scp is needed")
        tables = {name: _read_optional(path / file) for name, file in OPTIONAL_TABLES.items()}
        wav = read_scp(path / "wav.scp", pipes)
        if audio:
            check_relative(path / "wav.scp", wav.values())
        data = cls(wav=wav, segments=_read_segments(path / "segments"), **tables)
        data.check(path)
        return data

    def check(self, where: str | Path = "data") -> None:
        """Raise :class:`UsageError` if two tables disagree about the utterances; ``where`` names the directory."""
        known = set(self.utterances)
        missing = {segment.recording for segment in self.segments.values()} - set(self.wav)
        if missing:
            raise UsageError(f"{where}/segments: recordings that wav.scp lacks: {some(missing)}")
        for name, file in OPTIONAL_TABLES.items():
            table = getattr(self, name)
            if not table:
                continue
            if (lacking := known - set(table)) and file not in MAY_LACK:
                raise UsageError(f"{where}/{file}: {len(lacking)} utterances are not in it: {some(lacking)}")
            if unknown := set(table) - known:
                raise UsageError(f"{where}/{file}: {len(unknown)} utterances have no audio: {some(unknown)}")

    @classmethod
    def merged(cls, parts: Sequence["DataDir"]) -> "DataDir":
        """Return one directory of several without a common id; where one has segments, whole recordings become some.

        A table that not every part has is left out, but for those that may lack utterances.
        """
        merged = cls(wav={})
        cut = any(part.segments for part in parts)
        for part in parts:
            merged.wav |= part.wav
            if cut:
                merged.segments |= part.segments or {name: Segment(name, 0.0, -1.0) for name in part.wav}
        for name in OPTIONAL_TABLES:
            tables = [getattr(part, name) for part in parts]
            if all(tables) or name in MAY_LACK:
                for table in tables:
                    getattr(merged, name).update(table)
        return merged

    def subset(self, utterances: Iterable[str]) -> "DataDir":
        """Return a directory of some of the utterances."""
        keep = set(utterances)
        tables = {
            name: {key: value for key, value in getattr(self, name).items() if key in keep}
            for name in (*OPTIONAL_TABLES, "segments")
        }
        recordings = {segment.recording for segment in tables["segments"].values()} or keep
        return DataDir(wav={key: value for key, value in self.wav.items() if key in recordings}, **tables)

    def write(self, path: str | Path) -> None:
        """Write every table that has lines, and ``spk2utt``; sorted as Kaldi wants.

        Without ``utt2spk`` each utterance counts as its own speaker, as Kaldi's tools assume. ``wav.scp`` is removed
        first and written last: its presence is the sign of a finished directory.
        """
        path = Path(path)
        self.check(path)
        unfinish(path)
        utt2spk = self.utt2spk or {utterance: utterance for utterance in self.utterances}
        spk2utt: dict[str, str] = {}
        for utterance in sorted(utt2spk):
            speaker = utt2spk[utterance]
            spk2utt[speaker] = f"{spk2utt[speaker]} {utterance}" if speaker in spk2utt else utterance
        tables = {file: getattr(self, name) for name, file in OPTIONAL_TABLES.items()}
        lines = {key: f"{value.recording} {value.start} {value.end}" for key, value in self.segments.items()}
        tables |= {"segments": lines, "utt2spk": utt2spk, "spk2utt": spk2utt}
        for file, table in tables.items():
            if table:
                write_table(path / file, table)
            else:
                (path / file).unlink(missing_ok=True)
        write_table(path / "wav.scp", self.wav)


def unfinish(path: Path) -> None:
    """Remove ``wav.scp`` of a directory: until it is written again, nobody takes the directory for a finished one."""
    try:
        (path / "wav.scp").unlink(missing_ok=True)
    except OSError as error:
        raise EvaganError(f"cannot write {path / 'wav.scp'}: {error.strerror or error}") from error


OPTIONAL_TABLES = {
    "utt2spk": "utt2spk",
    "text": "text",
    "lang": "utt2lang",
    "feats": "feats.scp",
    "utt2dur": "utt2dur",
    "utt2num_samples": "utt2num_samples",
    "category": "utt2kind",
    "batch_category": "utt2category",
}
"""Fields of :class:`DataDir` by utterance, and their files."""
MAY_LACK = frozenset({"text"})
"""Tables that need not have every utterance, nor a value: formatting, synthesis and scores need no transcript."""


def _read_optional(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    return read_scp(path) if path.suffix == ".scp" else read_table(path, values_needed=path.name not in MAY_LACK)


def _read_segments(path: Path) -> dict[str, Segment]:
    return {utterance: Segment.parse(path, utterance, value) for utterance, value in _read_optional(path).items()}
