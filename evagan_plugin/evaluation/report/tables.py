"""Tables of scores and costs as data, for every form that they are printed in."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evagan_plugin.evaluation.bootstrap import MetricEstimate
from evagan_plugin.evaluation.models import Cost, Costs
from evagan_plugin.evaluation.scores import GROUND_TRUTH, Scores

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
    """What follows it in smaller type: interval, number of utterances."""
    value: float = math.nan
    """What is compared where the best of a column is marked."""
    interval: tuple[float, float] | None = None
    """95 %; None for what has none."""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row names it."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


COST_COLUMNS = (Column("parameters (M)"), Column("GFLOPs/s of audio"), Column("real-time factor", "lower"))


def systems_table(scores: Scores, category: str | None = None) -> Table:
    """Return the corpus figures of every system with their intervals, of one category or of all."""
    rows = []
    for system in scores.systems:
        estimates = [scores.estimate(system, metric, category) for metric in scores.metrics]
        counted = max(estimate.utterances for estimate in estimates)
        rows.append((Cell(system), Cell(str(counted)), *(_estimate_cell(estimate, counted) for estimate in estimates)))
    return Table((Column("system"), Column("utterances"), *_metric_columns(scores)), tuple(rows))


def systems_and_costs_table(scores: Scores, costs: Costs | None) -> Table:
    """Return scores of all systems with what their models cost; what is best of a column is marked.

    Cells of a system without a model are empty; without any model there are no such columns.
    """
    table = systems_table(scores)
    if costs:
        filled = [_cost_cells(costs.by_system.get(row[0].text)) for row in table.rows]
        columns = (*table.columns[:1], *COST_COLUMNS, *table.columns[1:])
        rows = ((*row[:1], *cells, *row[1:]) for row, cells in zip(table.rows, filled, strict=True))
        table = Table(columns, tuple(rows))
    return mark_best(table)


def mark_best(table: Table) -> Table:
    """Return the table with the best of each column marked; the ground truth does not compete.

    Figures with an interval: the best, where its interval is apart from that of every other. Others: the best, equal
    ones all.
    """
    rows = [list(row) for row in table.rows]
    for place, column in enumerate(table.columns):
        cells = [row[place] for row in rows if row[0].text != GROUND_TRUTH and not math.isnan(row[place].value)]
        if column.better is None or len(cells) < 2:
            continue
        best = (min if column.better == "lower" else max)(cells, key=lambda cell: cell.value)
        # What is printed decides: nobody can see a difference beyond it.
        winners = [cell for cell in cells if cell.text == best.text]
        if best.interval and not all(_apart(best, cell) for cell in cells if cell is not best):
            continue
        for row in rows:
            if any(row[place] is cell for cell in winners):
                row[place] = replace(row[place], best=True)
    return Table(table.columns, tuple(map(tuple, rows)))


def _apart(first: Cell, second: Cell) -> bool:
    """Whether the intervals of two figures have nothing in common."""
    if not first.interval or not second.interval:
        return False
    return first.interval[1] < second.interval[0] or second.interval[1] < first.interval[0]


def differences_table(scores: Scores) -> Table:
    """Return the differences of every pair of systems with their adjusted p-values."""
    rows: dict[str, list[Cell]] = {}
    for pair in scores.comparisons:
        name = f"{pair.first} - {pair.second}"
        row = rows.setdefault(name, [Cell(name), Cell(str(pair.utterances))])
        detail = f"(p {number(pair.p_adjusted)})"
        row.append(Cell(number(pair.difference), detail) if pair.utterances else Cell("not scored"))
    head = (Column("systems"), Column("utterances"), *_metric_columns(scores))
    return Table(head, tuple(map(tuple, rows.values())))


def utterance_table(scores: Scores) -> Table:
    """Return the figures of every utterance and system."""
    rows = [
        (
            Cell(score.utt_id),
            Cell(score.system),
            *(
                Cell(number(score.values[metric.name]) if metric.name in score.values else "not scored")
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
    text = ""
    interval = (estimate.low, estimate.high)
    if not math.isnan(estimate.value) and estimate.utterances > 1:
        text = f"[{number(estimate.low)}, {number(estimate.high)}]"
    fewer = f"(n={estimate.utterances})" if estimate.utterances < utterances else ""
    return Cell(number(estimate.value), " ".join(filter(None, [text, fewer])), estimate.value, interval=interval)


def _cost_cells(cost: Cost | None) -> tuple[Cell, ...]:
    if cost is None:
        return (Cell(), Cell(), Cell())
    return (
        Cell(f"{cost.parameters / 1e6:.2f}"),
        Cell(f"{cost.gflops_per_second:.3g}"),
        Cell(f"{cost.real_time_factor:.3g}", value=cost.real_time_factor),
    )
