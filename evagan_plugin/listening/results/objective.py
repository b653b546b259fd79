"""Objective metrics beside the human scores: kept in the test folder, one file per system, and compared with them."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evagan_plugin.errors import UsageError, nearest
from evagan_plugin.listening.design.design import ListeningTest
from evagan_plugin.listening.results.analysis import rank_correlation, standardize
from evagan_plugin.listening.votes.records import Mark
from evagan_plugin.utils.files import read_json, write_text

FEWEST_CELLS = 4
"""Fewer pairs of metric and score than this are not compared."""


@dataclass(frozen=True)
class ObjectiveMetrics:
    """Metrics of one system."""

    values: dict[str, dict[str, float]]
    """``{utterance: {metric: value}}``."""
    better: dict[str, str] = field(default_factory=dict)
    """``lower`` or ``higher``, by metric; the sign of the correlation with the scores decides where it is missing."""

    def mean(self, metric: str) -> float | None:
        """Return the mean over utterances; ``None`` if none has the metric."""
        found = [row[metric] for row in self.values.values() if metric in row]
        return float(np.mean(found)) if found else None


@dataclass(frozen=True)
class Cell:
    """What raters made of one system's version of one item."""

    system: str
    item: str
    score: float
    """Mean over raters."""
    marks: list[Mark]


@dataclass(frozen=True)
class Correlation:
    """How a metric and the human score go together."""

    metric: str
    spearman: float | None
    """``None`` where one of them is constant."""
    cells: int
    """Utterances of systems that have both."""


@dataclass(frozen=True)
class Disagreement(Cell):
    """An utterance where metrics and ears differ."""

    human_z: float
    """Human score in standard deviations over all utterances of all systems."""
    objective_z: float
    """Mean of the metrics in theirs, more being better."""
    metrics: dict[str, float]


def write_metrics(test_dir: str | Path, system: str, metrics: ObjectiveMetrics) -> None:
    """Keep the metrics of one system in the test folder."""
    write_text(_path(test_dir, system), json.dumps(asdict(metrics), indent=1, sort_keys=True))


def read_metrics(test_dir: str | Path, system: str) -> ObjectiveMetrics | None:
    """Return the kept metrics of one system, or ``None``.

    Raises:
        UsageError: If the file is not what :func:`write_metrics` writes.
    """
    path = _path(test_dir, system)
    if not path.exists():
        return None
    try:
        content = read_json(path)
        return ObjectiveMetrics({key: _numbers(row) for key, row in content["values"].items()}, content["better"])
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise UsageError(f"{path}: not metrics of a system: {error}") from error


def kept_metrics(test_dir: str | Path, design: ListeningTest) -> dict[str, ObjectiveMetrics]:
    """Return the kept metrics of all systems of a test that have some."""
    found = {system.name: read_metrics(test_dir, system.name) for system in design.systems}
    return {name: metrics for name, metrics in found.items() if metrics}


def read_scores(path: str | Path) -> dict[str, ObjectiveMetrics]:
    """Return the metrics of each system in the ``scores.json`` of ``evagan score``.

    Raises:
        UsageError: If the file is something else.
    """
    # Imported at use: it brings soundfile, which serving a test does not need.
    from evagan_plugin.evaluation.scores import Scores

    scores = Scores.load(path)
    better = {metric.name: metric.better for metric in scores.metrics if metric.better}
    systems = {name: ObjectiveMetrics({}, better) for name in scores.systems}
    for score in scores.utterances:
        defined = {name: value for name, value in score.values.items() if not np.isnan(value)}
        systems[score.system].values[score.utt_id] = defined
    return systems


def add_versa(
    metrics: Mapping[str, ObjectiveMetrics], files: Mapping[str, str | Path], systems: Collection[str]
) -> dict[str, ObjectiveMetrics]:
    """Return the metrics of each system with those of its result file of VERSA.

    Args:
        metrics: By system.
        files: Result file by system.
        systems: All systems of the test.

    Raises:
        UsageError: If a file is something else, or of no system of the test.
    """
    from evagan_plugin.evaluation.versa import PREFIX, better, read_versa

    found = dict(metrics)
    for system, path in files.items():
        if system not in systems:
            raise UsageError(f"{path} is of '{system}', which is not in the test: {nearest(system, systems)}")
        own = found.get(system, ObjectiveMetrics({}))
        values = {utterance: dict(row) for utterance, row in own.values.items()}
        directions = dict(own.better)
        for utterance, row in read_versa(path).items():
            for name, value in row.items():
                values.setdefault(utterance, {})[PREFIX + name] = value
                if direction := better(name):
                    directions[PREFIX + name] = direction
        found[system] = ObjectiveMetrics(values, directions)
    return found


def system_scores(path: str | Path, system: str) -> ObjectiveMetrics:
    """Return one system's metrics from a ``scores.json``; a system that is not in it is a :class:`UsageError`."""
    systems = read_scores(path)
    if system not in systems:
        raise UsageError(f"{path}: no system '{system}': {nearest(system, systems)}")
    return systems[system]


def correlations(cells: Sequence[Cell], metrics: Mapping[str, ObjectiveMetrics]) -> list[Correlation]:
    """Return Spearman's correlation of each metric with the human score, over all utterances of all systems.

    Args:
        cells: Human scores.
        metrics: Metrics of each system.
    """
    found = []
    for name in _names(metrics):
        pairs = [(value, cell.score) for cell in cells if (value := _value(cell, metrics, name)) is not None]
        if len(pairs) >= FEWEST_CELLS:
            rho = rank_correlation(*zip(*pairs, strict=True))
            found.append(Correlation(name, None if np.isnan(rho) else rho, len(pairs)))
    return found


def disagreements(cells: Sequence[Cell], metrics: Mapping[str, ObjectiveMetrics], count: int = 5) -> list[Disagreement]:
    """Return the utterances where metrics and ears differ most, farthest first.

    Human scores and every metric (turned so that more is better) are put in standard deviations over all utterances of
    all systems; the gap is the human figure minus the mean of the metrics'.
    """
    rated = [cell for cell in cells if cell.system in metrics and cell.item in metrics[cell.system].values]
    if len(rated) < FEWEST_CELLS:
        return []
    human = standardize(cell.score for cell in rated)
    columns = []
    for name in _names(metrics):
        values = [_value(cell, metrics, name) for cell in rated]
        if any(value is None for value in values):
            continue
        direction = {one.better.get(name) for one in metrics.values()} - {None}
        falling = direction == {"lower"} if direction else rank_correlation(values, human) < 0
        columns.append(standardize(values) * (-1 if falling else 1))
    if not columns:
        return []
    objective = np.mean(columns, axis=0)
    order = np.argsort(-np.abs(human - objective), kind="stable")[:count]
    found = []
    for index in order.tolist():
        cell = rated[index]
        values = metrics[cell.system].values[cell.item]
        found.append(
            Disagreement(
                cell.system, cell.item, cell.score, cell.marks, float(human[index]), float(objective[index]), values
            )
        )
    return found


def _names(metrics: Mapping[str, ObjectiveMetrics]) -> list[str]:
    """Names of the metrics that an utterance of any system has."""
    return sorted({name for one in metrics.values() for row in one.values.values() for name in row})


def _value(cell: Cell, metrics: Mapping[str, ObjectiveMetrics], name: str) -> float | None:
    system = metrics.get(cell.system)
    return system.values.get(cell.item, {}).get(name) if system else None


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Leave out what is not defined (null)."""
    return {name: float(value) for name, value in row.items() if value is not None}


def _path(test_dir: str | Path, system: str) -> Path:
    return Path(test_dir) / "metrics" / f"{system}.json"
