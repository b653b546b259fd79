"""Each step of data preparation and the loader at work on recordings, in one process and in two."""

import io
import os
import resource
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from evagan_plugin.audio.fingerprint import has_fpcalc
from evagan_plugin.benchmark.data.plan import Measured
from evagan_plugin.config import load_preset
from evagan_plugin.config.curation import CurationRules
from evagan_plugin.data.curation.curate import optional_measures
from evagan_plugin.data.curation.items import Item, cut, read_items
from evagan_plugin.data.curation.measuring import Task, measure_item
from evagan_plugin.data.formatting import format_data_dir
from evagan_plugin.data.index import open_dir
from evagan_plugin.data.kaldi import DataDir, Segment
from evagan_plugin.data.shards.columns import open_columns
from evagan_plugin.data.shards.shard import SOURCE_INDEX, Plan, Settings, make_shard, shard_data_dir
from evagan_plugin.data.shards.tar import SHARD_MEGABYTES, Entry
from evagan_plugin.data.stream_items import StreamDataset
from evagan_plugin.errors import EvaganError
from evagan_plugin.utils.device import peak_rss
from evagan_plugin.utils.files import write_text
from evagan_plugin.utils.processes import in_processes
from evagan_plugin.utils.progress import say, track

PRESET = "eva_gan_base_44k"
CONFIG = load_preset(PRESET)
RATE = CONFIG.mel.sample_rate
ITEM_SECONDS = CONFIG.training.segment_frames * CONFIG.mel.hop_length / RATE
LOADED = 50
"""Training items that are one piece of the loader's work."""
LOADS = range(0, 12 * LOADED, LOADED)
"""First items of its pieces."""
JOBS = (1, 2)
WAITING = 0.01
"""Seconds between looks at whether the other processes have come."""


class Outcome(NamedTuple):
    """What became of a piece of work."""

    seconds: float
    """Of audio."""
    items: Sequence[Item] = ()
    bytes: int = 0


@dataclass(frozen=True)
class Piece:
    """A piece of work that is done."""

    outcome: Outcome
    cpu: float
    """Processor seconds that it took, those of called programs included."""
    peak: int
    """Memory of its process (bytes) at most."""
    process: int
    end: float
    """When it was done, by a clock that all processes share (seconds)."""


@dataclass(frozen=True)
class Result:
    """What all steps took."""

    curated: Measured
    formatted: Measured
    sharded: Measured
    loads: list[Measured]
    """From formatted files, and from shards."""
    items: int
    """Into which curation has cut the recordings."""
    seconds: float
    """Of these together."""

    @property
    def steps(self) -> list[Measured]:
        """All, in their order."""
        return [self.curated, self.formatted, self.sharded, *self.loads]


def measure_all(folder: Path, recordings: dict[str, str]) -> Result:
    """Curate, format, shard and load recordings.

    Args:
        folder: Where all that is made on the way is written.
        recordings: Audio files by names, of which none is the beginning of another.

    Raises:
        EvaganError: If one cannot be read.
    """
    curate = partial(_curate, optional_measures()[0], has_fpcalc())
    curated, found = _measure("curate", folder, lambda _: curate, read_items(DataDir(wav=recordings)))
    cuts = sorted((outcome.items for outcome in found), key=lambda items: items[0].utterance)
    source = folder / "data"
    _data_dir([item for items in cuts for item in items]).write(source)
    for number, items in enumerate(cuts):
        _data_dir(items).write(folder / "each" / str(number))
    formatted, _ = _measure("format", folder, lambda jobs: partial(_format, folder, jobs), range(len(cuts)))
    # A shard for each recording, so that there are pieces of work.
    bounds = pairwise(accumulate(map(len, cuts), initial=0))
    plans = [Plan(number, first, last) for number, (first, last) in enumerate(bounds)]
    sharded, _ = _measure("shard", folder, lambda jobs: partial(_shard, _settings(source, folder, jobs)), plans)
    say("format and shard all of it, to load it")
    format_data_dir(source, folder / "files", RATE)
    shard_data_dir(source, folder / "shards", RATE, SHARD_MEGABYTES, max_unreadable=0.0)
    loads = [_measure_loading(folder, kind) for kind in ("files", "shards")]
    seconds = sum(outcome.seconds for outcome in found)
    return Result(curated, formatted, sharded, loads, sum(map(len, cuts)), seconds)


def _measure[T](
    name: str, folder: Path, work: Callable[[int], Callable[[T], Outcome]], todo: Sequence[T]
) -> tuple[Measured, list[Outcome]]:
    """Return what a step takes, and what one process has made of all pieces; ``work`` is for a number of processes."""
    cpu, clock, peak, outcomes = [], [], 0, []
    for jobs in JOBS:
        meeting = folder / "meetings" / f"{name}{jobs}"
        meeting.mkdir(parents=True)
        one = partial(_timed, work(jobs), meeting, jobs)
        label = f"{name}, {jobs} process{'es' * (jobs > 1)}"
        made = track(in_processes(one, list(enumerate(todo)), jobs, "benchmark"), label, len(todo))
        pieces = {number: piece for (number, _), piece in made}
        first = [pieces.pop(number) for number in range(jobs)]
        outcomes = outcomes or [piece.outcome for piece in (*first, *pieces.values())]
        peak = max(peak, *(piece.peak for piece in (*first, *pieces.values())))
        start = max(piece.end for piece in first)
        audio = sum(piece.outcome.seconds for piece in pieces.values())
        cpu.append(sum(piece.cpu for piece in pieces.values()) / audio * 3600)
        # Process by process: at the end one of them has nothing left to do.
        speed = 0.0
        for process in {piece.process for piece in pieces.values()}:
            mine = [piece for piece in pieces.values() if piece.process == process]
            speed += sum(piece.outcome.seconds for piece in mine) / (max(piece.end for piece in mine) - start)
        clock.append(speed)
    size = sum(outcome.bytes for outcome in outcomes) / sum(outcome.seconds for outcome in outcomes) * 3600
    return Measured(name, cpu[0], clock[1] / clock[0], JOBS[1] * cpu[0] / cpu[1], peak, size), outcomes


def _timed[T](work: Callable[[T], Outcome], meeting: Path, jobs: int, numbered: tuple[int, T]) -> Piece:
    """Do a piece of work; a process's first one loads libraries and models, and ends when all processes are there."""
    number, piece = numbered
    start = _processor_seconds()
    outcome = work(piece)
    cpu = _processor_seconds() - start
    if number < jobs:
        (meeting / str(number)).touch()
        while len(list(meeting.iterdir())) < jobs:
            time.sleep(WAITING)
    return Piece(outcome, cpu, peak_rss(), os.getpid(), time.monotonic())


def _processor_seconds() -> float:
    called = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + called.ru_utime + called.ru_stime


def _curate(speech: bool, fingerprint: bool, recording: Item) -> Outcome:
    items = cut(recording, CurationRules())
    seconds = 0.0
    for item in items:
        line = measure_item(Task(item, speech, fingerprint))
        if line["error"]:
            raise EvaganError(line["error"])
        seconds += line["row"]["duration"]
    return Outcome(seconds, items)


def _data_dir(items: Sequence[Item]) -> DataDir:
    wav = {item.utterance: item.source for item in items}
    if all(item.whole for item in items):
        return DataDir(wav=wav)
    return DataDir(wav=wav, segments={item.utt_id: Segment(item.utterance, item.start, item.end) for item in items})


def _format(folder: Path, jobs: int, number: int) -> Outcome:
    with redirect_stderr(io.StringIO()):  # it reports each of its own files
        summary = format_data_dir(folder / "each" / str(number), folder / f"format{jobs}" / str(number), RATE)
    if summary.broken:
        raise EvaganError(summary.broken[0].reason)
    size = sum(path.stat().st_size for path in (summary.report.parent / "data").iterdir())
    return Outcome(sum(float(row.seconds) for row in summary.rows), bytes=size)


def _settings(source: Path, folder: Path, jobs: int) -> Settings:
    out = folder / f"shard{jobs}"
    open_columns(open_dir(source, out / SOURCE_INDEX), out / SOURCE_INDEX)
    notes = out / "notes"
    notes.mkdir()
    return Settings(source, out, RATE, notes)


def _shard(settings: Settings, plan: Plan) -> Outcome:
    record, _ = make_shard(settings, plan)
    if record.left_out:
        raise EvaganError(record.left_out[0][1])
    return Outcome(sum(Entry(*values).samples for values in record.entries) / RATE, bytes=record.bytes)


def _measure_loading(folder: Path, kind: str) -> Measured:
    mix = folder / f"{kind}.yaml"
    write_text(mix, f"sources: [{{name: all, path: {folder / kind}, share: 1}}]\n")
    return _measure(f"load {kind}", folder, lambda _: partial(_load, mix), LOADS)[0]


def _load(mix: Path, first: int) -> Outcome:
    items = _opened(mix)
    for k in range(first, first + LOADED):
        items[k]
    return Outcome(LOADED * ITEM_SECONDS)


@lru_cache(maxsize=1)
def _opened(mix: Path) -> StreamDataset:
    return StreamDataset.for_training(mix, CONFIG, seed=0)
