"""Curation of a data directory: every utterance measured, sorted by rules, and written as a directory to train on.

All that is slow is in a journal as soon as it is done, so that a run that was killed goes on, and other rules cost
nothing; all else is written at the end, from the journal alone, in the order of the ids: the same call gives the same
bytes however often it was killed.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evagan_plugin.audio.fingerprint import MISSING, has_fpcalc
from evagan_plugin.audio.speech import check_speech
from evagan_plugin.config.curation import CurationRules
from evagan_plugin.data.curation.items import Item, cut, read_items
from evagan_plugin.data.curation.keys import JOURNAL, key_of, line_key, open_journal
from evagan_plugin.data.curation.measuring import COLUMNS, Row, Task, crashed_line, measure_item, unpacked
from evagan_plugin.data.curation.sorting import sort_out
from evagan_plugin.data.faults import refuse_many
from evagan_plugin.data.kaldi import DataDir, Segment, unfinish
from evagan_plugin.errors import EvaganError, UsageError, library_errors
from evagan_plugin.utils.json_lines import JsonLines, read_json_lines
from evagan_plugin.utils.lock import locked
from evagan_plugin.utils.parts import Part, files_of_parts, in_part
from evagan_plugin.utils.processes import in_processes
from evagan_plugin.utils.progress import track
from evagan_plugin.utils.tsv import write_tsv

TABLE, LEFT_OUT, KEPT = "curation.tsv", "left_out.tsv", "kept"
BY_PART = ("utt2spk", "lang", "category", "batch_category")
"""Tables of :class:`DataDir` that say of an utterance what holds for each of its parts."""
LEFT_OUT_COLUMNS = ("utt_id", "reason", "audio_filepath")


@dataclass(frozen=True)
class Curation:
    """What a run found."""

    out: Path
    rows: list[Row]
    """Of all readable items."""
    unreadable: dict[str, str]
    """Why, by utterance id."""
    notes: list[str] = field(default_factory=list)
    """What was not measured, and why."""

    def left_out(self) -> list[tuple[str, int, float]]:
        """Return what leaves items out, how many, and their hours, the most frequent first; an item can have several.

        A column that has limits, ``duplicate``, or ``unreadable``, of which no hours are known.
        """
        count, hours = Counter(), Counter()
        for row in self.rows:
            for name in row.left_out_by:
                count[name] += 1
                hours[name] += row.duration / 3600
        if self.unreadable:
            count["unreadable"] = len(self.unreadable)
        return [(name, number, hours[name]) for name, number in count.most_common()]

    def lines(self) -> Iterator[str]:
        """Yield what a person wants to know, line by line."""
        kept = [row for row in self.rows if row.kept == "yes"]
        hours = [sum(row.duration for row in rows) / 3600 for rows in (kept, self.rows)]
        yield f"{len(kept)} of {len(self.rows) + len(self.unreadable)} items kept, {hours[0]:.2f} of {hours[1]:.2f} h"
        yield from (f"  left out, {reason}: {count}" for reason, count, _ in sorted(self.left_out()))
        for utterance in sorted(self.unreadable):
            yield f"  unreadable: {utterance}: {self.unreadable[utterance]}"
        yield from (f"  {note}" for note in self.notes)
        yield f"  table: {self.out / TABLE}; left out: {self.out / LEFT_OUT}; kept: {self.out / KEPT}"


@dataclass(frozen=True)
class PartCounts:
    """What a part of a split found; rules are for the whole."""

    readable: int
    """Items."""
    unreadable: int


def curate(source: Path, out: Path, rules: CurationRules, jobs: int = 1, against: Sequence[Path] = ()) -> Curation:
    """Measure a Kaldi data directory and write ``curation.tsv``, ``left_out.tsv`` and ``kept/`` into ``out``.

    Args:
        source: Data directory, with or without ``segments``; ``utt2spk``, ``utt2lang``, ``utt2kind`` and
            ``utt2category`` pass through, ``text`` where an utterance is not cut.
        out: Output directory; what an earlier run, or :func:`curate_part`, measured is taken up.
        rules: What is left out.
        jobs: Number of processes.
        against: Outputs of other sources: what sounds like something that they kept is left out.

    Raises:
        UsageError: If the source is malformed.
        EvaganError: If more recordings are unreadable than the rules allow, nothing is kept, or an output cannot be
            written.
    """
    data = DataDir.read(source, audio=True)
    items = read_items(data)
    others = _kept_prints(against)
    with locked(out):
        journal = open_journal(out / JOURNAL, files_of_parts(out / JOURNAL))
        found = _find(items, rules, jobs, journal)
        result = _result(out, found, rules, others)
        journal.close(found.keys)
        _write(result, data, found.cuts)
    return result


def curate_part(source: Path, out: Path, rules: CurationRules, part: Part, jobs: int = 1) -> PartCounts:
    """Measure one part of a directory into a journal of its own in ``out``, which all parts share; then run the whole.

    Arguments and errors are those of :func:`curate`; nothing is left out yet, however much is unreadable.
    """
    items = in_part(part, read_items(DataDir.read(source, audio=True)), lambda item: item.source)
    path = part.file(out / JOURNAL)
    with locked(out / f".{path.name}.lock"):
        journal = open_journal(path, [out / JOURNAL, *files_of_parts(out / JOURNAL, part)])
        found = _find(items, rules, jobs, journal)
        journal.close(found.keys)
    return PartCounts(sum(line["row"] is not None for line in found.lines), len(found.unreadable()))


@dataclass(frozen=True)
class _Found:
    """All that the journal knows of the items."""

    cuts: dict[str, list[Item] | str]
    """Parts of each utterance, or why it cannot be read."""
    lines: list[dict[str, Any]]
    """Of every part, in the order of the ids."""
    keys: list[str]
    """In the journal."""
    notes: list[str]

    def unreadable(self) -> dict[str, str]:
        """Return why, by id, of what cannot be read."""
        found = {utterance: parts for utterance, parts in self.cuts.items() if isinstance(parts, str)}
        return found | {line["utt_id"]: line["error"] for line in self.lines if line["error"]}


def _find(items: list[Item], rules: CurationRules, jobs: int, journal: JsonLines) -> _Found:
    with_speech, notes = optional_measures()
    make = partial(Task, speech=with_speech, fingerprint=has_fpcalc())
    try:
        cuts, keys = _cut_all(items, rules, jobs, journal)
        lines, more = _measure_all(cuts, make, jobs, journal)
    finally:
        journal.close()
    return _Found(cuts, lines, [*keys, *more], notes)


def optional_measures() -> tuple[bool, list[str]]:
    """Return whether speech is measured, and a line for each measure that cannot be made here."""
    notes = [] if has_fpcalc() else [MISSING]
    try:
        check_speech()
    except EvaganError as error:
        return False, [f"speech is not measured: {error}", *notes]
    return True, notes


def _cut_all(
    items: list[Item], rules: CurationRules, jobs: int, journal: JsonLines
) -> tuple[dict[str, list[Item] | str], list[str]]:
    """Return the parts of each utterance, or why it cannot be read, and the keys of the journal that say so."""
    lengths = {"shortest": rules.shortest_cut, "longest": rules.longest_cut}

    def key(item: Item) -> str:
        return key_of("cut", source=item.source, state=item.state, start=item.start, end=item.end, **lengths)

    todo = [item for item in items if key(item) not in journal.lines]
    # In processes as the measuring: what crashes native code ends one of them, and not the run.
    made = in_processes(partial(_cut, rules), todo, jobs, "curation", crashed=_crashed_cut)
    for item, line in track(made, "cut", len(todo)):
        journal.add({"key": key(item), **line})
    found: dict[str, list[Item] | str] = {}
    for item in items:
        line = journal.lines[key(item)]
        bounds = line["bounds"]
        found[item.utterance] = line["error"] or [item.part(*stretch) for stretch in bounds] or [item]
    return found, [key(item) for item in items]


def _cut(rules: CurationRules, item: Item) -> dict[str, Any]:
    try:
        with library_errors(item.source):
            parts = cut(item, rules)
    except EvaganError as error:
        return {"bounds": [], "error": str(error)}
    return {"bounds": [] if parts == [item] else [[part.start, part.end] for part in parts], "error": None}


def _crashed_cut(item: Item, reason: str) -> dict[str, Any]:
    return {"bounds": [], "error": f"{item.source}: the process that read it crashed: {reason}"}


def _measure_all(
    cuts: dict[str, list[Item] | str], make: partial, jobs: int, journal: JsonLines
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the lines of all items in the order of their ids, and their keys in the journal."""
    tasks = [make(item) for parts in cuts.values() if not isinstance(parts, str) for item in parts]
    tasks.sort(key=lambda task: task.item.utt_id)
    keys = [key_of("item", **asdict(task)) for task in tasks]
    key_by_id = {task.item.utt_id: key for task, key in zip(tasks, keys, strict=True)}
    todo = [task for task, key in zip(tasks, keys, strict=True) if key not in journal.lines]
    made = in_processes(measure_item, todo, jobs, "curation", crashed=crashed_line)
    for task, line in track(made, "curate", len(todo)):
        journal.add({"key": key_by_id[task.item.utt_id], **line})
    return [journal.lines[key] for key in keys], keys


def _result(out: Path, found: _Found, rules: CurationRules, others: dict[str, np.ndarray]) -> Curation:
    unreadable = found.unreadable()
    total = len(found.lines) + sum(isinstance(parts, str) for parts in found.cuts.values())
    refuse_many(unreadable, total, rules.max_unreadable)
    good = [line for line in found.lines if line["row"]]
    prints = {line["utt_id"]: unpacked(line["fingerprint"]) for line in good if line["fingerprint"]}
    rows = sort_out([Row(**line["row"]) for line in good], prints, rules, others)
    return Curation(out, rows, unreadable, found.notes)


def _kept_prints(folders: Sequence[Path]) -> dict[str, np.ndarray]:
    """Return the fingerprints of what other runs kept, by folder and id."""
    found = {}
    for folder in folders:
        if not (folder / TABLE).is_file():
            raise UsageError(f"{folder}: no {TABLE} in it: --against takes the output of another evagan curate")
        kept = {row["utt_id"] for row in read_table(folder) if row["kept"] == "yes"}
        for line in read_json_lines(folder / JOURNAL, line_key):
            if line.get("fingerprint") and line["utt_id"] in kept:
                found[f"{folder}:{line['utt_id']}"] = unpacked(line["fingerprint"])
    return found


def read_table(out: Path) -> list[dict[str, str]]:
    """Return the lines of a ``curation.tsv``."""
    with (out / TABLE).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def _write(result: Curation, data: DataDir, cuts: dict[str, list[Item] | str]) -> None:
    out, kept = result.out, [row for row in result.rows if row.kept == "yes"]
    unfinish(out / KEPT)  # what an earlier run kept is no longer what the table says
    write_tsv(out / TABLE, COLUMNS, (row.values().values() for row in result.rows))
    left = [(row.utt_id, row.reason, row.audio_filepath) for row in result.rows if row.kept == "no"]
    places = {item.utt_id: item.source for parts in cuts.values() if not isinstance(parts, str) for item in parts}
    left += [
        (name, f"unreadable: {why}", places.get(name) or data.wav.get(name, ""))
        for name, why in result.unreadable.items()
    ]
    write_tsv(out / LEFT_OUT, LEFT_OUT_COLUMNS, sorted(left))
    if not kept:
        what = f"the rules leave out every item of {len(result.rows)}" if result.rows else "no item can be read"
        raise EvaganError(f"{what}: see {out / LEFT_OUT}")
    items = {item.utt_id: item for parts in cuts.values() if not isinstance(parts, str) for item in parts}
    _write_kept(kept, items, data, out / KEPT)


def _write_kept(kept: list[Row], items: dict[str, Item], data: DataDir, target: Path) -> None:
    """Write the kept items as a data directory; plain ``wav.scp`` where each item is a whole file."""
    chosen = [items[row.utt_id] for row in kept]
    directory = data.subset([item.utt_id for item in chosen if item.whole])
    directory.utt2num_samples, directory.segments = {}, {}
    directory.feats = directory.feats if all(item.whole for item in chosen) else {}
    for name in BY_PART:  # a part has what its utterance has, but for the transcript
        table = getattr(data, name)
        setattr(directory, name, {item.utt_id: table[item.utterance] for item in chosen} if table else {})
    directory.utt2dur = {row.utt_id: f"{row.duration:.6f}" for row in kept}
    if all(item.start == 0 and item.end == -1 for item in chosen):
        directory.wav = {item.utt_id: item.source for item in chosen}
    else:
        recordings = {place: name for name, place in sorted(data.wav.items(), reverse=True)}
        directory.wav = {recordings[item.source]: item.source for item in chosen}
        directory.segments = {item.utt_id: Segment(recordings[item.source], item.start, item.end) for item in chosen}
    directory.write(target)
