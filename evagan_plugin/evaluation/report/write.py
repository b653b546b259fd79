"""Every file of a scoring or a comparison: Markdown, LaTeX, JSON, CSV and the page."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evagan_plugin.evaluation.report.compare import Comparison
from evagan_plugin.evaluation.report.latex import latex_comparison
from evagan_plugin.evaluation.report.markdown import comparison_markdown, results_page, scores_markdown
from evagan_plugin.evaluation.report.page import render_page
from evagan_plugin.evaluation.scores import Scores
from evagan_plugin.utils.files import write_text


def write_scores(scores: Scores, folder: str | Path) -> list[Path]:
    """Write ``scores.md``, ``scores.json``, ``scores.csv`` (means) and ``utterances.csv``; return their paths."""
    return _write(folder, _score_texts(scores))


def write_comparison(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write what :func:`write_scores` writes, ``comparison.md``, ``.json`` and ``.tex``, and ``report.html``.

    Returns:
        The paths.

    Raises:
        EvaganError: If audio of the page has become unreadable, jinja2 or matplotlib is missing, or a file cannot be
            written; all texts are made before the first file is written.
    """
    texts = {
        **_score_texts(comparison.scores),
        "comparison.md": comparison_markdown(comparison),
        "comparison.json": _json(_comparison_dict(comparison)),
        "comparison.tex": latex_comparison(comparison),
        "report.html": render_page(comparison),
    }
    return _write(folder, texts)


def write_results(scores: Scores, path: str | Path, command: Sequence[str]) -> None:
    """Write the page of a recipe's ``RESULTS.md``: ``command`` is what makes it, word by word."""
    write_text(path, results_page(scores, command))


def _comparison_dict(comparison: Comparison) -> dict[str, Any]:
    """Return the scores as ``scores.json`` has them, with ``cost`` by system, ``speed``, ``published``, ``worst``."""
    content = comparison.scores.as_dict()
    costs = comparison.costs.by_system if comparison.costs else {}
    for name, system in content["systems"].items():
        system["cost"] = asdict(costs[name]) if name in costs else None
    content["speed"] = {"device": comparison.costs.device, "rounds": comparison.costs.rounds} if costs else None
    content["published"] = comparison.protocol.as_dict() if comparison.protocol else None
    content["worst"] = {"metric": comparison.ranking.metric.name, "system": comparison.ranking.system}
    return content


def _score_texts(scores: Scores) -> dict[str, str]:
    return {
        "scores.md": scores_markdown(scores),
        "scores.json": _json(scores.as_dict()),
        "scores.csv": _means_csv(scores),
        "utterances.csv": _utterances_csv(scores),
    }


def _write(folder: str | Path, texts: Mapping[str, str]) -> list[Path]:
    for name, text in texts.items():
        write_text(Path(folder) / name, text)
    return [Path(folder) / name for name in texts]


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


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


def _utterances_csv(scores: Scores) -> str:
    """Return the figures of every utterance and system as CSV, what was left out included."""
    rows = [["utt_id", "system", "category", *(metric.name for metric in scores.metrics), "not_scored", "notes"]]
    for score in scores.utterances:
        values = [_exact(score.values[metric.name]) if metric.name in score.values else "" for metric in scores.metrics]
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
