"""Shards of a data directory: which utterances are in which follows from the directory, so any process can make any.

Each shard is whole or not there, and beside it lies a record of what it was made from. What a run finds whole it keeps:
one that was killed goes on, and jobs of an array make a part each. The index comes last, from the records.
"""

import filecmp
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from evagan_plugin.audio.archive import source_state
from evagan_plugin.data.curation.curate import LEFT_OUT, LEFT_OUT_COLUMNS
from evagan_plugin.data.curation.items import Item
from evagan_plugin.data.faults import refuse_many
from evagan_plugin.data.index import DirIndex, open_dir
from evagan_plugin.data.shards.columns import CURATION, Columns, open_columns
from evagan_plugin.data.shards.encoding import encode
from evagan_plugin.data.shards.tar import HEADER, INDEX, Entry, ShardWriter, shard_name
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.utils.files import atomic_path, write_text
from evagan_plugin.utils.lock import locked
from evagan_plugin.utils.parts import Part
from evagan_plugin.utils.processes import in_processes
from evagan_plugin.utils.progress import track
from evagan_plugin.utils.tsv import write_tsv

FORMAT = 1
"""Changes when the bytes do that are made of the same items."""
SOURCE_INDEX = ".source"
"""Folder with the places of utterances in the tables of the source."""
SHARD_FILE = re.compile(r"(\d{6,})\.(?:tar|json)")
SAMPLE_BYTES = 2


@dataclass(frozen=True)
class Settings:
    """What all shards of a run have in common."""

    data: Path
    out: Path
    sample_rate: int
    """Hz."""
    notes: Path
    """Folder in which each process says what it works on, for who finds it dead."""


@dataclass(frozen=True)
class Plan:
    """A shard to be: utterances ``first`` up to ``last``, which it has no more."""

    number: int
    first: int
    last: int
    crashed: tuple[tuple[str, str], ...] = ()
    """Ids, and why, of those on which native code has crashed."""


@dataclass(frozen=True)
class Record:
    """What is known of a whole shard; the JSON file beside it."""

    key: str
    """Of all that it was made from."""
    bytes: int
    entries: list[list[Any]]
    """Values of an :class:`Entry` each."""
    left_out: list[list[str]]
    """Id, why, and file of each utterance that is not in it."""


@dataclass
class Counts:
    """What a run found."""

    out: Path
    shards: int = 0
    made: int = 0
    """Shards that were not there yet."""
    items: int = 0
    seconds: float = 0.0
    bytes: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    """Why, by id."""
    places: dict[str, str] = field(default_factory=dict)
    """Audio files of those, by id."""

    def add(self, record: Record, made: bool) -> None:
        """Count a shard."""
        entries = [Entry(*values) for values in record.entries]
        self.shards += 1
        self.made += made
        self.items += len(entries)
        self.seconds += sum(entry.samples / entry.sample_rate for entry in entries)
        self.bytes += record.bytes
        self.left_out |= {name: why for name, why, _ in record.left_out}
        self.places |= {name: place for name, _, place in record.left_out}

    def lines(self) -> Iterator[str]:
        """Yield what a person wants to know, line by line."""
        total = self.items + len(self.left_out)
        yield (
            f"{self.items} of {total} items in {self.shards} shards, {self.seconds / 3600:.2f} h, "
            f"{self.bytes / 1e9:.3f} GB; {self.shards - self.made} shards were up to date"
        )
        yield from (f"  left out: {name}: {self.left_out[name]}" for name in sorted(self.left_out))


def shard_data_dir(
    data: Path, out: Path, sample_rate: int, megabytes: float, max_unreadable: float, jobs: int = 1
) -> Counts:
    """Write the utterances of a Kaldi data directory as shards ``000000.tar``, ... with ``index.tsv``.

    Args:
        data: Data directory, with or without ``segments``, such as ``kept`` of ``evagan curate``.
        out: Folder of the shards; those that are whole already are kept.
        sample_rate: Wanted rate in Hz.
        megabytes: Of audio of 16 bits in a shard, before FLAC.
        max_unreadable: Share of the items that may be unreadable.
        jobs: Number of processes.

    Raises:
        UsageError: If the source is malformed.
        EvaganError: If more items than allowed cannot be used, not one can, or an output cannot be written.
    """
    plans = _plans(data, out, sample_rate, megabytes)
    with locked(out):
        counts = _make(data, out, sample_rate, plans, jobs)
        _remove_others(out, len(plans))
        left = [(name, why, counts.places[name]) for name, why in sorted(counts.left_out.items())]
        write_tsv(out / LEFT_OUT, LEFT_OUT_COLUMNS, left)
        try:
            if not counts.items:
                raise EvaganError(f"{data}: no item can be used: see {out / LEFT_OUT}")
            refuse_many(counts.left_out, counts.items + len(counts.left_out), max_unreadable)
        except EvaganError:
            (out / INDEX).unlink(missing_ok=True)  # of a run that was allowed more
            raise
        _write_index(out, len(plans))
    return counts


def shard_part(data: Path, out: Path, sample_rate: int, megabytes: float, part: Part, jobs: int = 1) -> Counts:
    """Write the shards of one part, without an index; then run the whole.

    Arguments and errors are those of :func:`shard_data_dir`; nothing is refused yet, however much is left out.
    """
    plans = [plan for plan in _plans(data, out, sample_rate, megabytes) if part.takes(plan.number)]
    with locked(out / f".{part.number}of{part.count}.lock"):
        return _make(data, out, sample_rate, plans, jobs)


def _plans(data: Path, out: Path, sample_rate: int, megabytes: float) -> list[Plan]:
    """Return the shards to be: utterances in the order of the directory, as many as fit."""
    if (out / "wav.scp").exists():
        raise UsageError(f"{out}: a data directory; the shards must be in another folder")
    index = open_dir(data, out / SOURCE_INDEX)
    open_columns(index, out / SOURCE_INDEX)
    ends = np.cumsum(index.seconds, dtype=np.float64) * sample_rate * SAMPLE_BYTES
    plans, first, size = [], 0, megabytes * 1e6
    while first < len(ends):
        begin = ends[first - 1] if first else 0.0
        last = max(int(np.searchsorted(ends, begin + size, "right")), first + 1)
        plans.append(Plan(len(plans), first, last))
        first = last
    return plans


def _make(data: Path, out: Path, sample_rate: int, plans: list[Plan], jobs: int) -> Counts:
    counts = Counts(out)
    with tempfile.TemporaryDirectory() as notes:
        settings = Settings(data, out, sample_rate, Path(notes))
        while plans:
            results = in_processes(
                partial(make_shard, settings), plans, jobs, "sharding", crashed=partial(_without_crash, settings)
            )
            results, plans = track(results, "shard", len(plans)), []
            for _, result in results:
                if isinstance(result, Plan):
                    plans.append(result)
                else:
                    counts.add(*result)
    return counts


def make_shard(settings: Settings, plan: Plan) -> tuple[Record, bool]:
    """Return the record of a shard, and whether the shard had to be made.

    Raises:
        EvaganError: If it cannot be written.
    """
    index, columns = _opened(settings)
    numbers = range(plan.first, plan.last)
    work = [(_item(index, number), columns[number]) for number in numbers]
    key = _key(settings.sample_rate, work)
    path = settings.out / shard_name(plan.number)
    known = _read_record(path)
    if known and known.key == key and path.is_file() and path.stat().st_size == known.bytes:
        return known, False
    with _writing(settings.out):
        # What lists the former shards is no index of what comes now, and a run that was killed has left a part of one.
        for old in (settings.out / INDEX, _record_path(path), *settings.out.glob(f".{path.stem}.*.part*")):
            old.unlink(missing_ok=True)
    left_out = []
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        writer = ShardWriter(stream, path.name)
        for item, known_of in work:
            write_text(settings.notes / str(plan.number), item.utt_id)
            why = _add(writer, item, known_of, settings.sample_rate, dict(plan.crashed))
            if why:
                left_out.append([item.utt_id, why, item.source])
        writer.close()
    record = Record(key, path.stat().st_size, [list(astuple(entry)) for entry in writer.entries], left_out)
    write_text(_record_path(path), json.dumps(asdict(record)))
    return record, True


def _add(
    writer: ShardWriter, item: Item, known: dict[str, Any], sample_rate: int, crashed: dict[str, str]
) -> str | None:
    """Put an item into a shard, or return why it is left out."""
    if item.utt_id in crashed:
        return f"{item.source}: the process that read it crashed: {crashed[item.utt_id]}"
    encoded = encode(item, sample_rate, known.get(CURATION, {}).get("bandwidth"))
    if isinstance(encoded, str):
        return encoded
    source = {"audio_filepath": item.source, "offset": item.start}
    details = {"utt_id": item.utt_id, **encoded.details, **source, **known}
    content = json.dumps(details, ensure_ascii=False).encode()
    writer.add(item.utt_id, encoded.flac, content, encoded.samples, sample_rate)
    return None


@lru_cache(maxsize=1)
def _opened(settings: Settings) -> tuple[DirIndex, Columns]:
    index = DirIndex(settings.data, settings.out / SOURCE_INDEX)
    return index, Columns(index, index.folder)


def _item(index: DirIndex, number: int) -> Item:
    name, path, segment = index.place(number)
    start, end = (segment.start, segment.end) if segment else (0.0, -1.0)
    return Item(name, path, start, end, name, source_state(path))


def _key(sample_rate: int, work: list[tuple[Item, dict[str, Any]]]) -> str:
    parts = [FORMAT, sample_rate, [[asdict(item), known] for item, known in work]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _without_crash(settings: Settings, plan: Plan, reason: str) -> Plan:
    """Return the plan of a shard without the item on which native code crashed."""
    note = settings.notes / str(plan.number)
    name = note.read_text(encoding="utf-8") if note.is_file() else ""
    if not name or name in dict(plan.crashed):
        raise EvaganError(f"{settings.out / shard_name(plan.number)}: the process that made it crashed: {reason}")
    return replace(plan, crashed=(*plan.crashed, (name, reason)))


def _record_path(shard: Path) -> Path:
    return shard.with_suffix(".json")


def _read_record(shard: Path) -> Record | None:
    try:
        return Record(**json.loads(_record_path(shard).read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):
        return None  # none yet, or one of another version


def _write_index(out: Path, shards: int) -> None:
    with atomic_path(out / INDEX) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(HEADER)
        for number in range(shards):
            record = _read_record(out / shard_name(number))
            if record is None:
                raise EvaganError(f"{out / shard_name(number)}: its record has just gone: run `evagan shard` again")
            stream.writelines(Entry(*values).line() for values in record.entries)
        stream.close()
        if (out / INDEX).is_file() and filecmp.cmp(out / INDEX, temporary, shallow=False):
            shutil.copystat(out / INDEX, temporary)  # a training that reads it need not notice


def _remove_others(out: Path, shards: int) -> None:
    """Remove shards of a former run that had more of them, and what one that was killed has left of its tables."""
    with _writing(out):
        for table in (INDEX, LEFT_OUT):
            for part in out.glob(f".{Path(table).stem}.*.part*"):
                part.unlink()
        for path in out.iterdir():
            found = SHARD_FILE.fullmatch(path.name)
            if found and int(found[1]) >= shards:
                (out / INDEX).unlink(missing_ok=True)
                path.unlink()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EvaganError(f"cannot write {folder}: {error.strerror or error}") from error
