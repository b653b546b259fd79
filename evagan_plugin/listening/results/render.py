"""A report as files (``report.json``, ``report.csv``, ``report.md``, pictures); a test and its state as text."""

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from evagan_plugin.listening.design.crowd import Crowd
from evagan_plugin.listening.design.design import ListeningTest
from evagan_plugin.listening.design.tokens import Links
from evagan_plugin.listening.results import pictures
from evagan_plugin.listening.results.report import CategoryScores, Report, SystemScore
from evagan_plugin.listening.results.status import Status
from evagan_plugin.utils.files import write_text
from evagan_plugin.utils.markdown import markdown_table

CSV_FIELDS = (
    "category", "system", "role", "step", "votes", "raters", "items",
    "mean", "low", "high", "bootstrap_low", "bootstrap_high",
)  # fmt: skip
METHOD = (
    "Intervals are 95 %: first by the variance clustered by rater and by item (V = V_rater + V_item - V_rater x item, "
    "Student's t with min(raters, items) - 1 degrees of freedom), then by the crossed bootstrap over raters and items. "
    "Differences are taken on the same rater and item; p is corrected by Holm's method for all differences listed."
)


def write_report(test_dir: Path, design: ListeningTest, report: Report, out: Path) -> list[Path]:
    """Write all files of a report; return their paths, tables first.

    Args:
        test_dir: The test folder, whose audio the pictures of disagreements are drawn from.
        design: Its design.
        report: What :func:`~evagan_plugin.listening.results.report.analyse` returned.
        out: Folder to write to.

    Raises:
        EvaganError: If a file cannot be written or matplotlib is missing.
    """
    drawn = [pictures.draw_scores(report, out / "report.png")]
    if any(row.step is not None and row.mean is not None for row in report.systems):
        drawn.append(pictures.draw_steps(report, out / "steps.png"))
    drawn += pictures.draw_disagreements(test_dir, design, report, out / "disagreements")
    texts = {
        "report.md": render_markdown(report, [path.relative_to(out) for path in drawn]),
        "report.json": json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n",
        "report.csv": report_csv(report),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return [*(out / name for name in texts), *drawn]


def report_csv(report: Report) -> str:
    """Return the scores as CSV, one row per category and system; category ``*`` is all of them together."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_FIELDS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for part in (CategoryScores("*", report.systems), *report.categories):
        for row in part.systems:
            low, high = row.interval or (None, None)
            bootstrap_low, bootstrap_high = row.bootstrap or (None, None)
            bounds = {"low": low, "high": high, "bootstrap_low": bootstrap_low, "bootstrap_high": bootstrap_high}
            writer.writerow(asdict(row) | bounds | {"category": part.category})
    return stream.getvalue()


def render_markdown(report: Report, drawn: Sequence[Path] = ()) -> str:
    """Return the report as Markdown; ``drawn`` are pictures to show, relative to the page."""
    counted = f"{report.votes} votes of {report.raters} raters on {report.items} items."
    blocks = [f"# {report.title}", counted, *_score_tables(report.measure, report.systems)]
    for part in report.categories:
        blocks += [f"## Category {part.category}", *_score_tables(report.measure, part.systems)]
    if report.differences:
        blocks += ["## Differences", _difference_table(report), METHOD]
    blocks += ["## Raters left out", *_exclusion_lines(report)]
    if any(row.votes_with_artifacts for row in report.artifacts):
        blocks += ["## Artifacts", "In how many votes each was noted.", _artifact_table(report)]
    if report.correlations:
        blocks += ["## Objective metrics and scores", _correlation_table(report)]
    if report.disagreements:
        blocks += ["## Where metrics and ears disagree", _disagreement_table(report)]
    blocks += [f"![{path.stem}]({path.as_posix()})" for path in drawn]
    return "\n\n".join(blocks) + "\n"


def describe_test(test_dir: Path, design: ListeningTest) -> str:
    """Return what was made and what to do next, for the terminal."""
    counts = Counter(item.category for item in design.test_items)
    kinds = ", ".join(f"{count} {category}" for category, count in sorted(counts.items()))
    lowered = [item for item in design.items if item.lowered_db > 0]
    levels = "left alone" if design.loudness is None else f"aligned to {design.loudness:g} LUFS (ITU-R BS.1770)"
    lines = [
        f"{test_dir}: {design.rules.title} test at {design.sample_rate} Hz",
        f"items: {kinds}; {len(design.training_items)} more for training",
        f"samples: {', '.join(system.name for system in design.systems)}",
        f"levels: {levels}; {len(lowered)} items lowered so that nothing clips; gains in {test_dir}/loudness.tsv",
        *([f"raters: {crowd}"] if (crowd := _crowd(design.crowd)) else []),
        f"next: evagan listen serve {test_dir}",
    ]
    return "\n".join(lines)


def _crowd(crowd: Crowd) -> str:
    """Return in words who gets in by the open link and where they go; empty for anybody and nowhere."""
    held = f"at most {crowd.max_raters}, an unfinished session holds its place for {crowd.place_minutes:g} min"
    parts = [
        "from Prolific, once each" if crowd.prolific else "",
        held if crowd.max_raters else "",
        f"at the end to {crowd.completion_url}" if crowd.completion_url else "",
        f"completion code {crowd.completion_code}" if crowd.completion_code else "",
    ]
    return "; ".join(filter(None, parts))


def render_status(status: Status, links: Links) -> str:
    """Return the state of a test as text, with its links."""
    raters = status.raters
    systems = [[name, str(count)] for name, count in status.votes_by_system.items()]
    progress = [
        [str(row.rater), f"{row.answered}/{row.total}", *(one or "" for one in (row.language, row.headphones, *known))]
        for row in status.by_rater
        for known in [(row.participant, row.study, row.session)]
    ]
    head = ["rater", "answered", "language", "headphones", "participant", "study", "session"]
    if not any(row.participant for row in status.by_rater):
        head, progress = head[:4], [row[:4] for row in progress]
    limit = f" {status.places_taken} of {status.max_raters} places are taken." if status.max_raters else ""
    blocks = [
        f"{status.votes} votes; {raters.finished} of {raters.invited} raters have finished, "
        f"{raters.started} have begun, {status.trials_left} of their trials are left.{limit}",
        markdown_table(["system", "votes"], systems),
        *([markdown_table(head, progress)] if progress else []),
        f"results: {links.admin}\nopen link: {links.join}",
        "personal links:\n" + "\n".join(f"{number} {link}" for number, link in enumerate(links.personal, 1)),
    ]
    return "\n\n".join(blocks)


def _score_tables(measure: str, systems: Sequence[SystemScore]) -> list[str]:
    """Systems; then hidden reference and anchor, apart from them."""
    head = ["system", measure, "95 % (clustered)", "95 % (bootstrap)", "votes", "raters", "items"]
    tables = []
    for wanted in (True, False):
        rows = [row for row in systems if (row.role == "system") == wanted]
        if rows:
            cells = [
                [
                    row.system,
                    _number(row.mean),
                    _range(row.interval),
                    _range(row.bootstrap),
                    *map(str, (row.votes, row.raters, row.items)),
                ]
                for row in rows
            ]
            tables.append(markdown_table(head, cells))
    return tables


def _difference_table(report: Report) -> str:
    head = ["first - second", "difference", "95 % (clustered)", "95 % (bootstrap)", "p", "p (Holm)", "pairs"]
    rows = [
        [
            f"{row.first} - {row.second}",
            _number(row.mean),
            _range(row.interval),
            _range(row.bootstrap),
            _probability(row.p),
            _probability(row.p_holm),
            str(row.votes),
        ]
        for row in report.differences
    ]
    return markdown_table(head, rows)


def _exclusion_lines(report: Report) -> list[str]:
    if report.screening is None:
        return ["Raters were not screened."]
    lines = [f"- rater {row.rater} ({row.votes} votes): {'; '.join(row.reasons)}" for row in report.excluded]
    lines += [
        f"- rater {row.rater} was kept by hand in spite of: {'; '.join(row.reasons)}" for row in report.kept_by_hand
    ]
    return ["\n".join(lines) or "None."]


def _artifact_table(report: Report) -> str:
    labels = list(report.artifacts[0].labels)
    rows = [
        [
            row.system,
            str(row.votes),
            str(row.votes_with_artifacts),
            *(str(row.labels[label]) for label in labels),
            f"{row.marks} ({row.marked_seconds:.1f} s)",
        ]
        for row in report.artifacts
    ]
    return markdown_table(["system", "votes", "with artifacts", *labels, "marks"], rows)


def _correlation_table(report: Report) -> str:
    rows = [[row.metric, _number(row.spearman), str(row.cells)] for row in report.correlations]
    return markdown_table(["metric", f"Spearman with {report.measure}", "utterances x systems"], rows)


def _disagreement_table(report: Report) -> str:
    rows = [
        [
            row.item,
            row.system,
            _number(row.score),
            _number(row.human_z),
            _number(row.objective_z),
            ", ".join(f"{name} {value:.4g}" for name, value in row.metrics.items()),
        ]
        for row in report.disagreements
    ]
    return markdown_table(["utterance", "system", report.measure, "ears (z)", "metrics (z)", "metrics"], rows)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


def _probability(value: float | None) -> str:
    if value is None:
        return "n/a"
    return f"{value:.4f}" if value >= 1e-4 else "< 0.0001"


def _range(bounds: Sequence[float] | None) -> str:
    return "n/a" if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}"
