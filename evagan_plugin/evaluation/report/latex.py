"""Tables in LaTeX."""

import re

from evagan_plugin.evaluation.report.compare import Comparison
from evagan_plugin.evaluation.report.remarks import headline
from evagan_plugin.evaluation.report.tables import Cell, Table

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


def latex_comparison(comparison: Comparison) -> str:
    """Return the table of systems, then the published figures, as LaTeX."""
    parts = [r"% Needs \usepackage{booktabs}. " + headline(comparison.scores), latex(comparison.table)]
    if comparison.protocol:
        parts.append(latex(comparison.protocol.table(), comparison.protocol.title))
    return "\n".join([*parts, *(f"% {note}" for note in comparison.notes)]).rstrip() + "\n"


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
    if text.startswith(("[", "*")):  # after the line break of the last row LaTeX would read an option
        text = f"{{{text[0]}}}{text[1:]}"
    if cell.best:
        text = rf"\textbf{{{text}}}"
    return rf"{text} {{\scriptsize {escape_latex(cell.detail)}}}" if cell.detail else text
