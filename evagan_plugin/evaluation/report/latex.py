"""The one table of a comparison: scores and costs of every system, and its LaTeX form."""

import math
import re
from dataclasses import replace

from evagan_plugin.evaluation.models import Cost, Costs
from evagan_plugin.evaluation.report.tables import Cell, Column, Table, systems_table
from evagan_plugin.evaluation.scoring import Scores
from evagan_plugin.evaluation.utterance import GROUND_TRUTH

COST_COLUMNS = (Column("parameters (M)"), Column("GFLOPs/s of audio"), Column("real-time factor", "lower"))
LATEX_ARROW = {"lower": r" $\downarrow$", "higher": r" $\uparrow$"}
LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def comparison_of_systems(scores: Scores, costs: Costs | None) -> Table:
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
    """Return the table with the best cells of each column marked, equal ones all; the ground truth does not compete."""
    rows = [list(row) for row in table.rows]
    for place, column in enumerate(table.columns):
        cells = [row[place] for row in rows if row[0].text != GROUND_TRUTH and not math.isnan(row[place].value)]
        if column.better is None or len(cells) < 2:
            continue
        best = (min if column.better == "lower" else max)(cells, key=lambda cell: cell.value)
        for row in rows:
            # What is printed decides: nobody can see a difference beyond it.
            if row[place] in cells and row[place].text == best.text:
                row[place] = replace(row[place], best=True)
    return Table(table.columns, tuple(map(tuple, rows)))


def latex(table: Table, title: str = "") -> str:
    """Return a ``tabular`` with the rules of booktabs, what is best in bold.

    Args:
        table: Any table.
        title: A line over its head, inside the table.
    """
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}", r"\toprule"]
    if title:
        lines += [rf"\multicolumn{{{len(table.columns)}}}{{l}}{{\emph{{{escape_latex(title)}}}}} \\", r"\midrule"]
    heads = (escape_latex(column.label) + LATEX_ARROW.get(column.better, "") for column in table.columns)
    lines += [" & ".join(heads) + r" \\", r"\midrule"]
    lines += [" & ".join(map(_latex_cell, row)) + r" \\" for row in table.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is."""
    return re.sub(r"[\\~^<>|&%$#_{}]", lambda found: LATEX_SPECIAL[found[0]], text)


def _latex_cell(cell: Cell) -> str:
    text = escape_latex(cell.text)
    if text.startswith(("[", "*")):  # behind the line break before it, LaTeX would read an option
        text = f"{{{text[0]}}}{text[1:]}"
    if cell.best:
        text = rf"\textbf{{{text}}}"
    return rf"{text} {{\scriptsize {escape_latex(cell.detail)}}}" if cell.detail else text


def _cost_cells(cost: Cost | None) -> tuple[Cell, ...]:
    if cost is None:
        return (Cell(), Cell(), Cell())
    return (
        Cell(f"{cost.parameters / 1e6:.2f}"),
        Cell(f"{cost.gflops_per_second:.3g}"),
        Cell(f"{cost.real_time_factor:.3g}", value=cost.real_time_factor),
    )
