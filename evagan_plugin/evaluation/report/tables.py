"""Tables of scores as data, for every form that they are printed in."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evagan_plugin.evaluation.bootstrap import MetricEstimate
from evagan_plugin.evaluation.scoring import Scores

ARROW = {"lower": "↓", "higher": "↑"}


@dataclass(frozen=True)
class Column:
    """Head of a column."""

    label: str
    better: Literal["lower", "higher"] | None = None

    @property
    def head(self) -> str:
        """The label, with an arrow towards the better end."""
        return f"{self.label} {ARROW[self.better]}" if self.better else self.label


@dataclass(frozen=True)
class Cell:
    """One entry of a table."""

    text: str = ""
    detail: str = ""
    """What stands behind it in smaller type: interval, number of utterances."""
    value: float = math.nan
    """What is compared where the best of a column is marked."""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row names it."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def markdown(self) -> str:
        """Return it as Markdown, what is best in bold."""
        lines = [
            [column.head for column in self.columns],
            ["---"] * len(self.columns),
            *([_markdown_cell(cell) for cell in row] for row in self.rows),
        ]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def systems_table(scores: Scores, category: str | None = None) -> Table:
    """Return the corpus figures of every system with their intervals, of one category or of all."""
    rows = []
    for system in scores.systems:
        estimates = [scores.estimate(system, metric, category) for metric in scores.metrics]
        counted = max(estimate.utterances for estimate in estimates)
        rows.append((Cell(system), Cell(str(counted)), *(_estimate_cell(estimate, counted) for estimate in estimates)))
    return Table((Column("system"), Column("utterances"), *_metric_columns(scores)), tuple(rows))


def comparison_table(scores: Scores) -> Table:
    """Return the differences of every pair of systems with their adjusted p-values."""
    pairs: dict[str, list[Cell]] = {}
    for comparison in scores.comparisons:
        name = f"{comparison.first} - {comparison.second}"
        row = pairs.setdefault(name, [Cell(name), Cell(str(comparison.utterances))])
        detail = f"(p {number(comparison.p_adjusted)})"
        row.append(Cell(number(comparison.difference), detail) if comparison.utterances else Cell("not scored"))
    head = (Column("systems"), Column("utterances"), *_metric_columns(scores))
    return Table(head, tuple(map(tuple, pairs.values())))


def utterance_table(scores: Scores) -> Table:
    """Return the figures of every utterance and system."""
    rows = [
        (
            Cell(score.utt_id),
            Cell(score.system),
            *(
                Cell(number(metric.value(score.sums[metric.name])) if metric.name in score.sums else "not scored")
                for metric in scores.metrics
            ),
        )
        for score in scores.utterances
    ]
    head = (Column("utterance"), Column("system"), *(Column(metric.label) for metric in scores.metrics))
    return Table(head, tuple(rows))


def number(value: float) -> str:
    """Return a figure with as many digits as tables show; ``n/a`` if it is not defined."""
    if math.isnan(value):
        return "n/a"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}" if abs(value) >= 10 else f"{value:.4f}"


def _metric_columns(scores: Scores) -> Sequence[Column]:
    return [Column(metric.label, metric.better) for metric in scores.metrics]


def _estimate_cell(estimate: MetricEstimate, utterances: int) -> Cell:
    if estimate.utterances == 0:
        return Cell("not scored")
    interval = ""
    if not math.isnan(estimate.value) and estimate.utterances > 1:
        interval = f"[{number(estimate.low)}, {number(estimate.high)}]"
    fewer = f"(n={estimate.utterances})" if estimate.utterances < utterances else ""
    return Cell(number(estimate.value), " ".join(filter(None, [interval, fewer])), estimate.value)


def _markdown_cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} {cell.detail}".strip()
