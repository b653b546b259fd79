"""Marks and LaTeX of tables."""

import shutil
import subprocess

import pytest

from evagan_plugin.evaluation.report.latex import escape_latex, latex
from evagan_plugin.evaluation.report.published import PROTOCOLS
from evagan_plugin.evaluation.report.tables import Cell, Column, Table, mark_best
from evagan_plugin.evaluation.scores import GROUND_TRUTH


def table(*figures: float, better: str | None = "lower") -> Table:
    names = ["a", "b", "c", GROUND_TRUTH]
    rows = [(Cell(name), Cell(f"{value:.2f}", value=value)) for name, value in zip(names, figures, strict=False)]
    return Table((Column("system"), Column("M-STFT", better)), tuple(rows))


def best(marked: Table) -> list[str]:
    return [row[0].text for row in marked.rows if row[1].best]


def test_the_best_of_a_column_is_marked_by_its_direction():
    assert best(mark_best(table(2.0, 1.0, 3.0))) == ["b"]
    assert best(mark_best(table(2.0, 1.0, 3.0, better="higher"))) == ["c"]
    assert best(mark_best(table(2.0, 1.0, 3.0, better=None))) == []


def test_what_prints_alike_is_equally_good_and_the_ground_truth_does_not_compete():
    assert best(mark_best(table(1.001, 1.002, 3.0, 0.0))) == ["a", "b"]


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        (((0.9, 1.1), (1.2, 1.4), (1.0, 2.0)), []),  # the third could be as good
        (((0.9, 1.1), (1.2, 1.4), (1.15, 2.0)), ["a"]),
        (((0.9, 1.1), None, (1.2, 2.0)), []),
    ],
)
def test_the_best_is_marked_only_where_its_interval_is_apart(intervals, expected):
    cells = [
        Cell(f"{value:.1f}", value=value, interval=each) for value, each in zip((1, 1.3, 1.5), intervals, strict=True)
    ]
    rows = tuple((Cell(name), cell) for name, cell in zip("abc", cells, strict=True))
    assert best(mark_best(Table((Column("system"), Column("M-STFT", "lower")), rows))) == expected


def test_one_system_alone_is_not_the_best_and_an_undefined_figure_never_is():
    assert best(mark_best(table(1.0))) == []
    assert best(mark_best(table(float("nan"), 1.0, 2.0))) == ["b"]


def test_latex_escapes_what_it_would_read_as_commands():
    assert escape_latex(r"a_b & 50% $x^2$ #1 {~} \end") == (
        r"a\_b \& 50\% \$x\textasciicircum{}2\$ \#1 \{\textasciitilde{}\} \textbackslash{}end"
    )


def test_rows_of_latex_have_the_cells_of_its_head():
    text = latex(mark_best(table(2.0, 1.0)), "Some title")
    assert r"M-STFT $\downarrow$ \\" in text
    assert r"\textbf{1.00} \\" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count(" & ") for line in rows} == {1}
    assert r"\begin{tabular}{lr}" in text


def test_latex_compiles(tmp_path):
    if not shutil.which("pdflatex"):
        pytest.skip("no pdflatex")
    hard = Table(
        (Column(r"sys_tem & \x"), Column("M-STFT", "lower")),
        ((Cell("a|b~^<>#{}%$"), Cell("1", "[0, 2]")), (Cell("[x]*"), Cell("2"))),
    )
    body = latex(mark_best(hard)) + latex(PROTOCOLS["libritts"].table(), PROTOCOLS["libritts"].title)
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "table.tex").write_text(document)
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=batchmode", "table.tex"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, (tmp_path / "table.log").read_text()
