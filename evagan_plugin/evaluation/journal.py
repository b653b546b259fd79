"""Scores on disk while they are made: one JSON line per utterance and system, so that an interrupted run goes on."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evagan_plugin import __version__
from evagan_plugin.audio.archive import archive_of
from evagan_plugin.data.systems import MatchedUtterance
from evagan_plugin.evaluation.alignment import Alignment
from evagan_plugin.evaluation.metrics.base import MetricInfo
from evagan_plugin.evaluation.scores import UtteranceScore, defined, nulled
from evagan_plugin.utils.json_lines import JsonLines
from evagan_plugin.utils.parts import Part, files_of_parts

FILE = "utterances.jsonl"


class Journal:
    """Finished scores of a run, appended as they come.

    A line is taken up again if the version, the metrics, the category and both audio files (path, size, time of
    change) are the same as when it was written. A part has a journal of its own; that of the whole takes them up.
    """

    def __init__(self, folder: Path, metrics: Sequence[MetricInfo], part: Part | None = None):
        self.metrics = sorted(metric.name for metric in metrics)
        whole = folder / FILE
        of_parts = files_of_parts(whole, part)
        self._file = JsonLines(part.file(whole) if part else whole, _key, [whole, *of_parts])
        self._replaced = [] if part else of_parts  # another part may still need them

    def finished(self, item: MatchedUtterance, systems: Iterable[str]) -> list[UtteranceScore] | None:
        """Return the scores of an utterance if all its systems are done, else None."""
        lines = [self._file.lines.get((item.utt_id, system)) for system in systems]
        if any(line is None or line["made_from"] != self._made_from(item, line["system"]) for line in lines):
            return None
        return [_decode(line) for line in lines]

    def add(self, item: MatchedUtterance, scores: Iterable[UtteranceScore]) -> None:
        """Append the scores of an utterance and put them on disk."""
        self._file.add(*(self._encode(item, score) for score in scores))

    def close(self, wanted: Iterable[UtteranceScore] = ()) -> None:
        """Close the file; with the scores of a finished run, keep the lines of these only, in their order."""
        keys = [(score.utt_id, score.system) for score in wanted]
        self._file.close(keys or None)
        if keys:
            for path in self._replaced:
                path.unlink(missing_ok=True)

    def _encode(self, item: MatchedUtterance, score: UtteranceScore) -> dict[str, Any]:
        made_from = self._made_from(item, score.system)
        return {**asdict(score), "values": nulled(score.values), "made_from": made_from}

    def _made_from(self, item: MatchedUtterance, system: str) -> dict[str, Any]:
        files = [item.reference, *filter(None, [item.hypotheses.get(system)])]
        return {
            "version": __version__,
            "metrics": self.metrics,
            "category": item.category,
            "files": [_stamp(path) for path in files],
        }


def _stamp(path: Path) -> list[Any]:
    """Return what changes when a file does; a missing file has no size."""
    try:
        status = os.stat(archive_of(path))
    except OSError:
        return [str(path), None, None]
    return [str(path), status.st_size, status.st_mtime_ns]


def _key(line: Mapping[str, Any]) -> tuple[str, str]:
    """Return whose line it is (raises ``KeyError`` if it is none of a journal's)."""
    _ = line["made_from"]
    return line["utt_id"], line["system"]


def _decode(line: Mapping[str, Any]) -> UtteranceScore:
    alignment = line["alignment"]
    return UtteranceScore(
        utt_id=line["utt_id"],
        system=line["system"],
        category=line["category"],
        sums={name: tuple(sums) for name, sums in line["sums"].items()},
        not_scored=line["not_scored"],
        notes=line["notes"],
        problem=line["problem"],
        alignment=Alignment(**alignment) if alignment else None,
        values=defined(line["values"]),
    )
