"""Scores as Markdown, JSON and CSV."""

import csv
import io
import json
import math
import platform
import shlex
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from evagan_plugin.evaluation.metrics.base import Metric
from evagan_plugin.evaluation.report.tables import comparison_table, systems_table, utterance_table
from evagan_plugin.evaluation.scoring import Scores
from evagan_plugin.evaluation.utterance import UtteranceScore
from evagan_plugin.utils.files import write_text

LISTED_UTTERANCES = 20
"""A table of utterances with more rows than this stands in the CSV only."""
NAMED_UTTERANCES = 5
"""So many utterances are named behind a note that fits more of them; ``utterances.csv`` has all."""
FEWEST_COMPARED = 6
"""Utterances; with fewer a paired randomisation test cannot reach p = 0.05."""
COMPARISON_NOTE = (
    "Difference over the utterances that both systems have; p of a two-sided paired randomisation test, "
    "Holm-adjusted for all cells of this table."
)
PACKAGES = (
    "evagan-plugin",
    "torch",
    "torchaudio",
    "numpy",
    "auraloss",
    "pesq",
    "torchcrepe",
    "pyworld",
    "pysptk",
    "distillmos",
    "resemblyzer",
)
"""Whose versions a results page states."""


def write_scores(scores: Scores, folder: str | Path) -> list[Path]:
    """Write ``scores.md``, ``scores.json``, ``scores.csv`` (means) and ``utterances.csv``; return their paths."""
    folder = Path(folder)
    texts = {
        "scores.md": render_markdown(scores),
        "scores.json": json.dumps(as_dict(scores), indent=2, ensure_ascii=False) + "\n",
        "scores.csv": _means_csv(scores),
        "utterances.csv": utterances_csv(scores),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


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
            render_markdown(scores).rstrip(),
            "",
            "## Metrics",
            *definitions,
            "",
            f"Versions: {', '.join(versions)}.",
            "",
        ]
    )


def render_markdown(scores: Scores) -> str:
    """Return the tables of systems, categories, comparisons and utterances, and the list of what was left out."""
    return "\n\n".join([headline(scores), systems_table(scores).markdown(), *detail_blocks(scores)]) + "\n"


def headline(scores: Scores) -> str:
    """Return what was scored, in a sentence."""
    count = len({score.utt_id for score in scores.utterances})
    return (
        f"{count} utterance{'s' * (count != 1)} of `{scores.reference}` at {scores.sample_rate} Hz; in brackets the "
        "95 % bootstrap interval over utterances."
    )


def detail_blocks(scores: Scores) -> list[str]:
    """Return what stands below the table of systems: categories, comparisons, utterances, what was left out."""
    blocks = []
    for category in scores.categories:
        blocks += [f"### Category {category}", systems_table(scores, category).markdown()]
    if comparable(scores):
        blocks += ["### Paired comparison", COMPARISON_NOTE, comparison_table(scores).markdown()]
    if len(scores.utterances) <= LISTED_UTTERANCES:
        blocks += ["### Utterances", utterance_table(scores).markdown()]
    if lines := remarks(scores):
        blocks += ["### Remarks", "\n".join(f"- {line}" for line in lines)]
    return blocks


def comparable(scores: Scores) -> bool:
    """Tell whether there are utterances enough for a paired comparison to find anything."""
    return any(comparison.utterances >= FEWEST_COMPARED for comparison in scores.comparisons)


def as_dict(scores: Scores) -> dict[str, Any]:
    """Return everything as plain JSON values; a figure that is not defined is null."""
    return {
        "reference": scores.reference,
        "sample_rate": scores.sample_rate,
        "metrics": {
            metric.name: {
                "label": metric.label,
                "unit": metric.unit,
                "better": metric.better,
                "pooling": metric.pooling,
                "definition": metric.definition,
            }
            for metric in scores.metrics
        },
        "systems": {
            system: {
                "path": path,
                "metrics": _estimates(scores, system),
                "categories": {category: _estimates(scores, system, category) for category in scores.categories},
            }
            for system, path in scores.systems.items()
        },
        "comparisons": [_plain(vars(comparison)) for comparison in scores.comparisons],
        "utterances": [_utterance_dict(score, scores.metrics) for score in scores.utterances],
        "unmatched": [vars(unmatched) for unmatched in scores.unmatched],
    }


def remarks(scores: Scores) -> list[str]:
    """Return a line for everything that was left out (every utterance is named), trimmed or looks wrong."""
    left_out: dict[tuple[str, str], list[str]] = {}
    noted: dict[tuple[str, str], list[str]] = {}
    for unmatched in scores.unmatched:
        left_out.setdefault((unmatched.system, f"not scored: {unmatched.reason}"), []).append(unmatched.utt_id)
    for score in scores.utterances:
        if score.problem:
            left_out.setdefault((score.system, f"not scored: {score.problem}"), []).append(score.utt_id)
        reasons: dict[str, list[str]] = {}
        for metric in scores.metrics:
            if metric.name in score.not_scored:
                reasons.setdefault(score.not_scored[metric.name], []).append(metric.label)
        for reason, labels in reasons.items():
            text = f"{', '.join(labels)} not scored: {reason}"
            left_out.setdefault((score.system, text), []).append(score.utt_id)
        for note in score.notes:
            noted.setdefault((score.system, note), []).append(score.utt_id)
    lines = [f"{system}: {text}: {', '.join(ids)}" for (system, text), ids in left_out.items()]
    for (system, text), ids in noted.items():
        more = f" and {len(ids) - NAMED_UTTERANCES} more" if len(ids) > NAMED_UTTERANCES else ""
        lines.append(f"{system}: {text}: {', '.join(ids[:NAMED_UTTERANCES])}{more}")
    return lines


def _means_csv(scores: Scores) -> str:
    rows = [["system", "category", "metric", "unit", "better", "value", "low", "high", "utterances"]]
    for system in scores.systems:
        for category in [None, *scores.categories]:
            for metric in scores.metrics:
                estimate = scores.estimate(system, metric, category)
                figures = [_exact(figure) for figure in (estimate.value, estimate.low, estimate.high)]
                about = [system, category or "all", metric.name, metric.unit, metric.better]
                rows.append([*about, *figures, estimate.utterances])
    return _csv(rows)


def utterances_csv(scores: Scores) -> str:
    """Return the figures of every utterance and system as CSV, what was left out included."""
    rows = [["utt_id", "system", "category", *(metric.name for metric in scores.metrics), "not_scored", "notes"]]
    for score in scores.utterances:
        values = [
            _exact(metric.value(score.sums[metric.name])) if metric.name in score.sums else ""
            for metric in scores.metrics
        ]
        reasons = [score.problem] if score.problem else [f"{key}: {why}" for key, why in score.not_scored.items()]
        about = [score.utt_id, score.system, score.category or ""]
        rows.append([*about, *values, "; ".join(reasons), "; ".join(score.notes)])
    for unmatched in scores.unmatched:
        blank = [""] * (len(scores.metrics) + 1)
        rows.append([unmatched.utt_id, unmatched.system, *blank, unmatched.reason, ""])
    return _csv(rows)


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _exact(value: float) -> str:
    return "" if math.isnan(value) else repr(round(value, 9))


def _estimates(scores: Scores, system: str, category: str | None = None) -> dict[str, Any]:
    return {metric.name: _plain(vars(scores.estimate(system, metric, category))) for metric in scores.metrics}


def _utterance_dict(score: UtteranceScore, metrics: Sequence[Metric]) -> dict[str, Any]:
    values = {metric.name: metric.value(score.sums[metric.name]) for metric in metrics if metric.name in score.sums}
    return {
        "utt_id": score.utt_id,
        "system": score.system,
        "category": score.category,
        "values": _plain(values),
        "not_scored": score.not_scored,
        "notes": score.notes,
        "problem": score.problem,
        "delay_samples": score.alignment.delay if score.alignment else None,
        "correlation": score.alignment.correlation if score.alignment else None,
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}


def _version(package: str) -> str | None:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None
