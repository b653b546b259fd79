"""Formatting of a data directory: every utterance checked, mono, 16 bits, at one rate, with a report.

The output is 16-bit WAV whatever the source: vocoders are trained on and compared by 16-bit audio, and one
format makes reading cheap. Sources of more bits are rounded, which the report counts like any other change.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from evagan_plugin.audio.archive import audio_file, source_state
from evagan_plugin.audio.io import downmix, effective_bandwidth, load_audio, read_header, resample, save_audio
from evagan_plugin.data.kaldi import DataDir, Segment
from evagan_plugin.data.utterances import AUDIO_TABLE, find_utterances
from evagan_plugin.errors import EvaganError, LibraryError, UsageError, library_errors
from evagan_plugin.utils.files import read_text, write_text
from evagan_plugin.utils.json_lines import JsonLines
from evagan_plugin.utils.parts import Part, files_of_parts, in_part
from evagan_plugin.utils.progress import track

REPORT = "format_report.tsv"
JOURNAL = "format_report.jsonl"
"""The rows that a run has so far, which a later one takes up; the report takes its place."""
NARROW = 0.75
"""A file is called narrow-band if its effective bandwidth is below this part of half the wanted sample rate."""
WIDE_SUBTYPES = frozenset({"PCM_24", "PCM_32", "FLOAT", "DOUBLE"})
"""Sample formats of more than 16 bits."""


@dataclass(frozen=True)
class Row:
    """What became of one utterance; a line of ``format_report.tsv``, every value as text."""

    utterance: str
    status: str
    """``ok`` or ``broken``."""
    reason: str
    """Why it is broken."""
    changes: str
    """What was done, e.g. ``resampled 44100 Hz, downmixed 2 channels``; empty if nothing was."""
    seconds: str
    bandwidth: str
    """Effective bandwidth of the source in Hz: files of a high rate whose sound ends low are common."""
    num_samples: str
    """Length of the output at ``sample_rate``."""
    sample_rate: str
    """Of the output, Hz."""
    source: str
    segment: str
    """``start end`` in seconds, if the utterance is a stretch of ``source``."""
    source_state: str
    """Size in bytes and time of change in ns of the source: shows whether the work must be done again."""

    def same_work(self, other: "Row") -> bool:
        """Whether both rows describe the same source, unchanged, for the same output."""
        keys = ("utterance", "sample_rate", "source", "segment", "source_state")
        return all(getattr(self, key) == getattr(other, key) for key in keys)


@dataclass(frozen=True)
class Summary:
    """Rows of the report and how many of them were taken over from an earlier run."""

    report: Path
    rows: list[Row]
    kept: int

    @property
    def broken(self) -> list[Row]:
        """Rows of utterances without output."""
        return [row for row in self.rows if row.status == "broken"]

    def lines(self) -> Iterator[str]:
        """Yield what a person wants to know, line by line."""
        good = [row for row in self.rows if row.status == "ok"]
        hours = sum(float(row.seconds) for row in good) / 3600
        yield f"{len(good)} of {len(self.rows)} utterances formatted, {hours:.2f} h; {self.kept} were up to date"
        changes = Counter(
            "clipped" if change.startswith("clipped") else change
            for row in good
            for change in row.changes.split(", ")
            if change
        )
        for change in sorted(changes):
            yield f"  {change}: {changes[change]}"
        narrow = sum(float(row.bandwidth) < NARROW * int(row.sample_rate) / 2 for row in good)
        if narrow:
            yield f"  sound ends below {NARROW:.0%} of the band that the wanted rate allows: {narrow}"
        for row in self.broken:
            yield f"  broken: {row.utterance}: {row.reason}"
        yield f"  report: {self.report}"


def format_data_dir(
    source: Path,
    target: Path,
    sample_rate: int,
    skip_broken: bool = False,
    jobs: int = 1,
    pipes: bool = False,
    part: Part | None = None,
) -> Summary:
    """Format a Kaldi data directory, a folder of audio, or an audio file.

    Writes ``target/data/<utterance>.wav``, ``format_report.tsv`` and, if nothing is broken or ``skip_broken`` is
    set, ``wav.scp utt2spk spk2utt utt2dur utt2num_samples`` and, where the source has them, ``text``, ``utt2lang``,
    ``utt2kind``, ``utt2category`` and ``feats.scp``. ``segments`` are cut out. What a former run, also one that was
    killed, or a part did to an unchanged source is not done again.

    Args:
        source: Data directory with ``wav.scp``, or a directory or file that
            :func:`~evagan_plugin.data.utterances.find_utterances` finds audio in.
        target: Output directory, made if need be.
        sample_rate: Wanted rate in Hz.
        skip_broken: Whether the tables are written without the broken utterances; else there are none of them
            as long as one is broken.
        jobs: Number of files worked on at a time.
        pipes: Whether ``wav.scp`` may have pipes; one is taken for unchanged as long as its text is the same.
        part: Format the recordings of this part only, and write no table; a call without it, after all parts, does.

    Raises:
        UsageError: If the source is malformed or holds no audio, or the target is the source.
        EvaganError: If an output cannot be written, or every utterance is broken.
    """
    data = _read_source(source, pipes)
    if source.resolve() == target.resolve():
        raise UsageError(f"{target}: the formatted directory must be another one than the source")
    tasks = in_part(part, _recordings(data), lambda task: task[0])
    whole = target / JOURNAL
    parts = files_of_parts(whole, part)
    journal = JsonLines(part.file(whole) if part else whole, _utterance_of, [whole, *parts])
    before = _read_report(target / REPORT) | {utterance: Row(**line) for utterance, line in journal.lines.items()}
    rows: list[Row] = []
    kept = 0
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_format_recording, *task, target, sample_rate, before) for task in tasks]
        try:
            for future in track(futures, "format"):
                done, reused = future.result()
                journal.add(*(asdict(row) for row in done if row is not before.get(row.utterance)))
                rows += done
                kept += reused
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            journal.close()
    rows.sort(key=lambda row: row.utterance)
    if part:
        return Summary(journal.path, rows, kept)
    _write_report(target / REPORT, rows)
    for path in (*parts, journal.path):
        path.unlink(missing_ok=True)
    summary = Summary(target / REPORT, rows, kept)
    good = {row.utterance: row for row in rows if row.status == "ok"}
    if summary.broken and not (skip_broken and good):
        (target / "wav.scp").unlink(missing_ok=True)
        if not good:
            raise EvaganError(f"{source}: all {len(rows)} utterances are broken, see {target / REPORT}")
        return summary
    _formatted_dir(data, good, target).write(target)
    return summary


def _read_source(source: Path, pipes: bool) -> DataDir:
    single = source.is_file() and source.suffix != ".scp"
    if (source / AUDIO_TABLE).is_file() or not (source.is_dir() or single):
        return DataDir.read(source, pipes, audio=True)
    return DataDir(wav={utterance.utt_id: utterance.source for utterance in find_utterances(source)})


def _recordings(data: DataDir) -> list[tuple[str, dict[str, Segment | None]]]:
    """Return every audio file with the utterances in it, so that a file is decoded once."""
    if not data.segments:
        return [(path, {utterance: None}) for utterance, path in data.wav.items()]
    cuts: dict[str, dict[str, Segment | None]] = {}
    for utterance, segment in data.segments.items():
        cuts.setdefault(data.wav[segment.recording], {})[utterance] = segment
    return list(cuts.items())


def _format_recording(
    source: str, cuts: dict[str, Segment | None], target: Path, sample_rate: int, before: dict[str, Row]
) -> tuple[list[Row], int]:
    """Format the utterances of one audio file; return their rows and how many were up to date."""
    state = source_state(source)
    rows, todo = [], []
    for utterance, cut in cuts.items():
        stretch = "" if cut is None else f"{cut.start} {cut.end}"
        row = Row(utterance, "", "", "", "0", "0", "0", str(sample_rate), source, stretch, state)
        old = before.get(utterance)
        if old and old.status == "ok" and old.same_work(row) and _is_whole(_output(target, utterance), old):
            rows.append(old)
        else:
            todo.append((row, cut))
    kept = len(rows)
    if not todo:
        return rows, kept
    try:
        with audio_file(source) as file:
            wav, source_rate = load_audio(file)
            subtype = read_header(file).subtype
    except EvaganError as error:
        return rows + [_changed(row, status="broken", reason=str(error)) for row, _ in todo], kept
    for row, cut in todo:
        try:
            with library_errors(source):
                rows.append(_format_utterance(row, cut, wav, source_rate, subtype, target))
        except LibraryError as error:
            rows.append(_changed(row, status="broken", reason=str(error)))
    return rows, kept


def _format_utterance(
    row: Row, cut: Segment | None, wav: np.ndarray, source_rate: int, subtype: str, target: Path
) -> Row:
    """Cut, downmix, resample and write one utterance; ``wav`` is the recording ``(channels, T)``."""
    sample_rate = int(row.sample_rate)
    changes = []
    if cut is not None:
        try:
            first, last = cut.bounds(wav.shape[1], source_rate)
        except EvaganError as error:
            return _changed(row, status="broken", reason=str(error))
        wav = wav[:, first:last]
    mono = downmix(wav)
    if subtype in WIDE_SUBTYPES:
        changes.append(f"rounded {subtype}")
    if wav.shape[0] > 1:
        changes.append(f"downmixed {wav.shape[0]} channels")
    bandwidth = effective_bandwidth(mono, source_rate)
    if source_rate != sample_rate:
        changes.append(f"resampled {source_rate} Hz")
        mono = resample(mono, source_rate, sample_rate)
    output = _output(target, row.utterance)
    if output.resolve() == Path(row.source).resolve():
        raise UsageError(f"{row.source}: would be overwritten by its formatted copy; choose another output directory")
    clipped = save_audio(output, mono, sample_rate)
    if clipped:
        changes.append(f"clipped {clipped} samples")
    return _changed(
        row,
        status="ok",
        changes=", ".join(changes),
        seconds=f"{len(mono) / sample_rate:.6f}",
        num_samples=str(len(mono)),
        bandwidth=f"{bandwidth:.0f}",
    )


def _formatted_dir(data: DataDir, good: dict[str, Row], target: Path) -> DataDir:
    formatted = data.subset(good)
    formatted.segments = {}
    formatted.wav = {utterance: str(_output(target, utterance)) for utterance in good}
    formatted.utt2dur = {utterance: row.seconds for utterance, row in good.items()}
    formatted.utt2num_samples = {utterance: row.num_samples for utterance, row in good.items()}
    return formatted


def _output(target: Path, utterance: str) -> Path:
    return target / "data" / f"{utterance}.wav"


def _is_whole(path: Path, row: Row) -> bool:
    """Whether an output of a former run is still there, with the length that its row states."""
    try:
        header = read_header(path)
    except EvaganError:
        return False
    return (str(header.frames), str(header.sample_rate)) == (row.num_samples, row.sample_rate)


def _changed(row: Row, **values: str) -> Row:
    return Row(**(asdict(row) | values))


def _read_report(path: Path) -> dict[str, Row]:
    """Return the rows of a former run, none if there was none or its columns are of another version."""
    if not path.is_file():
        return {}
    reader = csv.DictReader(io.StringIO(read_text(path)), delimiter="\t")
    columns = [column.name for column in fields(Row)]
    if reader.fieldnames != columns:
        return {}
    # A line that somebody has cut or added to is passed over: its utterance is formatted anew.
    whole = (line for line in reader if line.keys() == set(columns) and None not in line.values())
    return {line["utterance"]: Row(**line) for line in whole}


def _utterance_of(line: dict[str, str]) -> str:
    """Return whose row a line of the journal is (raises ``KeyError`` if its columns are of another version)."""
    if line.keys() != {column.name for column in fields(Row)}:
        raise KeyError
    return line["utterance"]


def _write_report(path: Path, rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [column.name for column in fields(Row)], delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(path, text.getvalue())
