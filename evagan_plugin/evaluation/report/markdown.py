"""Scores and comparisons in Markdown."""

import platform
import shlex
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from evagan_plugin.evaluation.report.compare import Comparison
from evagan_plugin.evaluation.report.remarks import DIFFERENCES_NOTE, comparable, headline, remarks
from evagan_plugin.evaluation.report.tables import Cell, Table, differences_table, systems_table, utterance_table
from evagan_plugin.evaluation.scores import Scores
from evagan_plugin.utils.markdown import markdown_table

LISTED_UTTERANCES = 20
"""A table of utterances with more rows than this stands in the CSV only."""
PACKAGES = (
    "evagan-plugin",
    "torch",
    "torchaudio",
    "numpy",
    "auraloss",
    "pesq",
    "pystoi",
    "torchcrepe",
    "pyworld",
    "pysptk",
    "distillmos",
    "resemblyzer",
)
"""Whose versions a results page states."""


def scores_markdown(scores: Scores) -> str:
    """Return the tables of systems, categories, comparisons and utterances, and the list of what was left out."""
    return "\n\n".join([headline(scores), markdown(systems_table(scores)), *_details(scores)]) + "\n"


def comparison_markdown(comparison: Comparison) -> str:
    """Return the table of systems, the published figures below it, and the details that ``evagan score`` prints."""
    blocks = [headline(comparison.scores), markdown(comparison.table)]
    if comparison.protocol:
        blocks += [f"### {comparison.protocol.title}", markdown(comparison.protocol.table())]
    return "\n\n".join([*blocks, *comparison.notes, *_details(comparison.scores)]) + "\n"


def results_page(scores: Scores, command: Sequence[str]) -> str:
    """Return a whole page for ``RESULTS.md``: the command, the tables, definitions and versions."""
    versions = [f"Python {platform.python_version()}", *filter(None, map(_version, PACKAGES))]
    definitions = [f"- {metric.label}: {metric.definition}." for metric in scores.metrics]
    return "\n".join(
        [
            f"# Scores on {scores.reference}",
            "",
            "```",
            shlex.join(command),
            "```",
            "",
            scores_markdown(scores).rstrip(),
            "",
            "## Metrics",
            *definitions,
            "",
            f"Versions: {', '.join(versions)}.",
            "",
        ]
    )


def markdown(table: Table) -> str:
    """Return a table as Markdown, what is best in bold."""
    return markdown_table([column.head for column in table.columns], [list(map(_cell, row)) for row in table.rows])


def _details(scores: Scores) -> list[str]:
    """Return what stands below the table of systems: categories, comparisons, utterances, what was left out."""
    blocks = []
    for category in scores.categories:
        blocks += [f"### Category {category}", markdown(systems_table(scores, category))]
    if comparable(scores):
        blocks += ["### Paired comparison", DIFFERENCES_NOTE, markdown(differences_table(scores))]
    if len(scores.utterances) <= LISTED_UTTERANCES:
        blocks += ["### Utterances", markdown(utterance_table(scores))]
    if lines := remarks(scores):
        blocks += ["### Remarks", "\n".join(f"- {line}" for line in lines)]
    return blocks


def _cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} {cell.detail}".strip()


def _version(package: str) -> str | None:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None
