"""Scores on disk while they are made: one JSON line per utterance and system, so that an interrupted run goes on."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from evagan_plugin import __version__
from evagan_plugin.audio.archive import archive_of
from evagan_plugin.data.systems import MatchedUtterance
from evagan_plugin.errors import EvaganError
from evagan_plugin.evaluation.alignment import Alignment
from evagan_plugin.evaluation.metrics.base import MetricInfo
from evagan_plugin.evaluation.scores import UtteranceScore, defined, nulled
from evagan_plugin.utils.files import write_text

FILE = "utterances.jsonl"


class Journal:
    """Finished scores of a run, appended as they come.

    A line is taken up again if the version, the metrics, the category and both audio files (path, size, time of
    change) are the same as when it was written.
    """

    def __init__(self, folder: Path, metrics: Sequence[MetricInfo]):
        self.path = folder / FILE
        self.metrics = sorted(metric.name for metric in metrics)
        self._done = {(line["utt_id"], line["system"]): line for line in _read_lines(self.path)}
        self._stream: TextIO | None = None

    def finished(self, item: MatchedUtterance, systems: Iterable[str]) -> list[UtteranceScore] | None:
        """Return the scores of an utterance if all its systems are done, else None."""
        lines = [self._done.get((item.utt_id, system)) for system in systems]
        if any(line is None or line["made_from"] != self._made_from(item, line["system"]) for line in lines):
            return None
        return [_decode(line) for line in lines]

    def add(self, item: MatchedUtterance, scores: Iterable[UtteranceScore]) -> None:
        """Append the scores of an utterance and put them on disk."""
        try:
            if self._stream is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # Without a line that a kill cut short, which would swallow the next one.
                write_text(self.path, "".join(f"{json.dumps(line)}\n" for line in self._done.values()))
                self._stream = self.path.open("a", encoding="utf-8")
            for score in scores:
                line = self._encode(item, score)
                self._done[score.utt_id, score.system] = line
                self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
        except OSError as error:
            raise EvaganError(f"cannot write {self.path}: {error.strerror or error}") from error

    def close(self, wanted: Iterable[UtteranceScore] = ()) -> None:
        """Close the file; with the scores of a whole run, keep the lines of these only, in their order."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        lines = [self._done[score.utt_id, score.system] for score in wanted]
        if lines:
            write_text(self.path, "".join(f"{json.dumps(line)}\n" for line in lines))

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


def _read_lines(path: Path) -> list[Mapping[str, Any]]:
    """Return the whole lines of a journal; one that a kill cut short is left out."""
    if not path.exists():
        return []
    lines = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise EvaganError(f"cannot read {path}: {error.strerror or error}") from error
    for text_line in text.splitlines():
        try:
            line = json.loads(text_line)
        except ValueError:
            continue
        if isinstance(line, dict) and {"utt_id", "system", "made_from"} <= line.keys():
            lines.append(line)
    return lines


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
