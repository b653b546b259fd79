"""What a listening test found: scores with intervals, differences, exclusions, artifacts, metrics beside the ears."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from evagan_plugin.errors import UsageError
from evagan_plugin.evaluation.holm import holm
from evagan_plugin.listening.design.design import ARTIFACT_LABELS, TestDesign
from evagan_plugin.listening.results.analysis import Estimate, estimate, paired_differences, score_matrix
from evagan_plugin.listening.results.objective import ObjectiveMetrics, correlations, disagreements
from evagan_plugin.listening.results.screening import RaterRecord, ScreeningRules, review
from evagan_plugin.listening.votes.store import Store

Vote = Mapping[str, Any]


@dataclass(frozen=True)
class ReportOptions:
    """Choices of one report; nothing of them is stored."""

    screening: ScreeningRules | None = field(default_factory=ScreeningRules)
    """``None`` keeps every rater."""
    keep: Collection[int] = ()
    """Raters that stay, whatever the screening finds."""
    exclude: Collection[int] = ()
    """Raters that are left out by hand."""
    metrics: Mapping[str, ObjectiveMetrics] = field(default_factory=dict)
    """Objective metrics by system."""


def analyse(design: TestDesign, store: Store, options: ReportOptions | None = None) -> dict[str, Any]:
    """Return the whole report as plain JSON values.

    Raises:
        UsageError: If a rater to keep or exclude does not exist.
    """
    options = options or ReportOptions()
    votes = store.votes()
    known = {row["id"] for row in store.raters()}
    if unknown := {*options.keep, *options.exclude} - known:
        raise UsageError(f"no rater {min(unknown)}: raters are numbered as 'evagan listen status' shows them")
    protocol = design.rules
    seconds = {item.id: item.seconds for item in design.items}
    records = review(votes, protocol, design.named("reference"), seconds)
    excluded, pardoned = _exclusions(design, records, options)
    out = {entry["rater"] for entry in excluded}
    test_votes = [vote for vote in votes if vote["kind"] == "test" and vote["rater"] not in out]
    categories = sorted({item.category for item in design.test_items})
    cells = _cells(design, test_votes)
    return {
        "title": design.title,
        "protocol": design.protocol,
        "measure": protocol.title,
        "scale": [protocol.lowest, protocol.highest],
        "votes": len(test_votes),
        "raters": len({vote["rater"] for vote in test_votes}),
        "items": len({vote["item"] for vote in test_votes}),
        "systems": _system_rows(design, test_votes, options),
        "categories": [
            {
                "category": category,
                "systems": _system_rows(design, [v for v in test_votes if v["category"] == category], options),
            }
            for category in (categories if len(categories) > 1 else [])
        ],
        "differences": _difference_rows(design, test_votes),
        "screening": asdict(options.screening) if options.screening else None,
        "excluded": excluded,
        "kept_by_hand": pardoned,
        "artifacts": _artifact_rows(design, test_votes),
        "correlations": correlations(cells, options.metrics),
        "disagreements": disagreements(cells, options.metrics),
    }


def status_of(design: TestDesign, store: Store) -> dict[str, Any]:
    """Return how far the test is: votes per system, raters, trials left; plain JSON values."""
    raters = store.raters()
    counts = Counter(vote["system"] for vote in store.votes() if vote["kind"] == "test")
    started = [row for row in raters if row["consented_at"] is not None]
    return {
        "votes": sum(counts.values()),
        "votes_by_system": {system.name: counts[system.name] for system in design.systems},
        "raters": {
            "invited": len(raters),
            "started": len(started),
            "finished": sum(row["answered"] == row["total"] for row in started),
        },
        "trials_left": sum(row["total"] - row["answered"] for row in started),
        "by_rater": [
            {
                "rater": row["id"],
                "answered": row["answered"],
                "total": row["total"],
                "language": row["language"],
                "headphones": row["headphones"],
                "last_vote_at": row["last_vote_at"],
            }
            for row in started
        ],
    }


def _exclusions(
    design: TestDesign, records: Mapping[int, RaterRecord], options: ReportOptions
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return who is left out, and who would have been but for ``keep``; with reasons."""
    excluded, pardoned = [], []
    for rater in sorted(records):
        record = records[rater]
        reasons = record.reasons(options.screening, design.rules) if options.screening else []
        if rater in options.exclude:
            reasons = ["excluded by hand", *reasons]
        if not reasons:
            continue
        entry = {"rater": rater, "votes": record.votes, "reasons": reasons}
        (pardoned if rater in options.keep else excluded).append(entry)
    return excluded, pardoned


def _system_rows(design: TestDesign, votes: list[Vote], options: ReportOptions) -> list[dict[str, Any]]:
    by_system = defaultdict(list)
    for vote in votes:
        by_system[vote["system"]].append(vote)
    rows = []
    for system in design.systems:
        found = estimate(_matrix(by_system[system.name])) if by_system[system.name] else None
        metrics = options.metrics.get(system.name)
        names = sorted({name for row in metrics.values.values() for name in row}) if metrics else []
        rows.append(
            {"system": system.name, "role": system.role, "step": system.step}
            | _estimate_fields(found)
            | {"metrics": {name: metrics.mean(name) for name in names}}
        )
    return rows


def _estimate_fields(found: Estimate | None) -> dict[str, Any]:
    return {
        "votes": found.votes if found else 0,
        "raters": found.raters if found else 0,
        "items": found.items if found else 0,
        "mean": found.mean if found else None,
        "interval": list(found.clustered) if found and found.clustered else None,
        "bootstrap": list(found.bootstrap) if found and found.bootstrap else None,
    }


def _difference_rows(design: TestDesign, votes: list[Vote]) -> list[dict[str, Any]]:
    """Compare systems with each other and with the hidden reference; anchors are left out."""
    names = [*design.named("system"), *design.named("reference")]
    compared = _preferences(votes) if design.rules.samples == "pair" else _matched(names, votes)
    tested = [entry for entry in compared if entry[2].p_value is not None]
    corrected = dict(zip((e[:2] for e in tested), holm([e[2].p_value for e in tested]), strict=True)) if tested else {}
    return [
        {"first": first, "second": second}
        | _estimate_fields(found)
        | {"p": found.p_value, "p_holm": corrected.get((first, second))}
        for first, second, found in compared
    ]


def _matched(names: list[str], votes: list[Vote]) -> list[tuple[str, str, Estimate]]:
    """Differences on the same rater and item."""
    raters = sorted({vote["rater"] for vote in votes})
    items = sorted({vote["item"] for vote in votes})
    matrices = {name: np.full((len(raters), len(items)), np.nan) for name in names}
    for vote in votes:
        if vote["system"] in matrices:
            matrices[vote["system"]][raters.index(vote["rater"]), items.index(vote["item"])] = vote["score"]
    return paired_differences(matrices)


def _preferences(votes: list[Vote]) -> list[tuple[str, str, Estimate]]:
    """Differences within one trial of two samples: 1 where the first was preferred, -1 where the second."""
    trials = defaultdict(list)
    for vote in votes:
        trials[vote["trial"]].append(vote)
    pairs = defaultdict(list)
    for slots in trials.values():
        first, second = sorted(slots, key=lambda vote: vote["system"])
        pairs[first["system"], second["system"]].append(first | {"score": first["score"] - second["score"]})
    return [(*names, estimate(_matrix(found))) for names, found in sorted(pairs.items())]


def _artifact_rows(design: TestDesign, votes: list[Vote]) -> list[dict[str, Any]]:
    """Count labels per system, each once a vote, and how many seconds were marked."""
    rows = []
    for system in design.systems:
        mine = [vote for vote in votes if vote["system"] == system.name]
        marked = [mark for vote in mine for mark in vote["marks"]]
        named = [set(vote["labels"]) | {mark["label"] for mark in vote["marks"]} for vote in mine]
        counts = Counter(label for labels in named for label in labels)
        rows.append(
            {
                "system": system.name,
                "votes": len(mine),
                "votes_with_artifacts": sum(bool(labels) for labels in named),
                "labels": {label: counts[label] for label in ARTIFACT_LABELS},
                "marks": len(marked),
                "marked_seconds": sum(mark["end"] - mark["start"] for mark in marked),
            }
        )
    return rows


def _cells(design: TestDesign, votes: list[Vote]) -> list[dict[str, Any]]:
    """Mean score and marks of each system's version of each item; hidden reference and anchor are left out."""
    scores, marks = defaultdict(list), defaultdict(list)
    for vote in votes:
        scores[vote["system"], vote["item"]].append(vote["score"])
        marks[vote["system"], vote["item"]] += vote["marks"]
    return [
        {"system": system, "item": item.id, "score": float(np.mean(found)), "marks": marks[system, item.id]}
        for system in design.named("system")
        for item in design.test_items
        if (found := scores.get((system, item.id)))
    ]


def _matrix(votes: list[Vote]) -> np.ndarray:
    columns = zip(*((vote["rater"], vote["item"], vote["score"]) for vote in votes), strict=True)
    return score_matrix(*columns)[0]
