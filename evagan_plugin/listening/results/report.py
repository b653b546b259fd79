"""What a listening test found: scores with intervals, differences, exclusions, artifacts, metrics beside the ears."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from evagan_plugin.errors import UsageError
from evagan_plugin.evaluation.bootstrap import holm
from evagan_plugin.listening.design.design import ARTIFACT_LABELS, ListeningTest
from evagan_plugin.listening.results.analysis import ClusteredMean, clustered_mean, paired_differences, score_matrix
from evagan_plugin.listening.results.objective import (
    Cell,
    Correlation,
    Disagreement,
    ObjectiveMetrics,
    correlations,
    disagreements,
)
from evagan_plugin.listening.results.screening import Exclusion, ScreeningRules, exclusions, review
from evagan_plugin.listening.votes.records import Vote
from evagan_plugin.listening.votes.store import Store


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


@dataclass(frozen=True)
class SystemScore:
    """How a system was scored."""

    system: str
    role: str
    """``system``, ``reference`` (hidden) or ``anchor``."""
    step: int | None
    """Training step of its checkpoint."""
    votes: int
    raters: int
    items: int
    mean: float | None
    """``None`` without votes, as what follows where raters or items are too few for an interval."""
    interval: tuple[float, float] | None
    """95 %, by the clustered variance."""
    bootstrap: tuple[float, float] | None
    """95 %, by the crossed bootstrap."""
    metrics: dict[str, float | None]
    """Means of its objective metrics."""


@dataclass(frozen=True)
class CategoryScores:
    """The systems on the items of one category."""

    category: str
    systems: list[SystemScore]


@dataclass(frozen=True)
class Difference:
    """How much higher the first system was scored than the second, by the same raters on the same items."""

    first: str
    second: str
    votes: int
    raters: int
    items: int
    mean: float | None
    interval: tuple[float, float] | None
    bootstrap: tuple[float, float] | None
    p: float | None
    p_holm: float | None
    """Corrected for the number of differences in the report."""


@dataclass(frozen=True)
class ArtifactCount:
    """What raters noted about a system."""

    system: str
    votes: int
    votes_with_artifacts: int
    labels: dict[str, int]
    """Votes that name each."""
    marks: int
    marked_seconds: float


@dataclass(frozen=True)
class Report:
    """What a listening test found; ``report.json`` as it stands here."""

    title: str
    protocol: str
    measure: str
    """What the mean score is called."""
    scale: tuple[float, float]
    """Lowest and highest score."""
    votes: int
    raters: int
    items: int
    systems: list[SystemScore]
    categories: list[CategoryScores]
    """Empty where all items have one category."""
    differences: list[Difference]
    screening: ScreeningRules | None
    excluded: list[Exclusion]
    kept_by_hand: list[Exclusion]
    artifacts: list[ArtifactCount]
    correlations: list[Correlation]
    disagreements: list[Disagreement]


def analyse(design: ListeningTest, store: Store, options: ReportOptions | None = None) -> Report:
    """Return the report on all votes so far.

    Raises:
        UsageError: If a rater to keep or exclude does not exist.
    """
    options = options or ReportOptions()
    votes = store.votes()
    known = {rater.id for rater in store.raters()}
    if unknown := {*options.keep, *options.exclude} - known:
        raise UsageError(f"no rater {min(unknown)}: raters are numbered as 'evagan listen status' shows them")
    protocol = design.rules
    records = review(votes, protocol, design.named("reference"), {item.id: item.seconds for item in design.items})
    excluded, pardoned = exclusions(records, options.screening, protocol, options.exclude, options.keep)
    out = {entry.rater for entry in excluded}
    votes = [vote for vote in votes if vote.kind == "test" and vote.rater not in out]
    cells = _cells(design, votes)
    return Report(
        title=design.title,
        protocol=design.protocol,
        measure=protocol.title,
        scale=(protocol.lowest, protocol.highest),
        votes=len(votes),
        raters=len({vote.rater for vote in votes}),
        items=len({vote.item for vote in votes}),
        systems=_system_scores(design, votes, options),
        categories=_category_scores(design, votes, options),
        differences=_differences(design, votes),
        screening=options.screening,
        excluded=excluded,
        kept_by_hand=pardoned,
        artifacts=_artifact_counts(design, votes),
        correlations=correlations(cells, options.metrics),
        disagreements=disagreements(cells, options.metrics),
    )


def _category_scores(design: ListeningTest, votes: list[Vote], options: ReportOptions) -> list[CategoryScores]:
    names = sorted({item.category for item in design.test_items})
    if len(names) == 1:
        return []
    return [
        CategoryScores(name, _system_scores(design, [vote for vote in votes if vote.category == name], options))
        for name in names
    ]


def _system_scores(design: ListeningTest, votes: list[Vote], options: ReportOptions) -> list[SystemScore]:
    by_system = defaultdict(list)
    for vote in votes:
        by_system[vote.system].append(vote)
    scores = []
    for system in design.systems:
        found = clustered_mean(_matrix(by_system[system.name]))
        metrics = options.metrics.get(system.name)
        names = sorted({name for row in metrics.values.values() for name in row}) if metrics else []
        score = SystemScore(
            system.name, system.role, system.step, found.votes, found.raters, found.items, found.mean,
            found.clustered, found.bootstrap, metrics={name: metrics.mean(name) for name in names},
        )  # fmt: skip
        scores.append(score)
    return scores


def _differences(design: ListeningTest, votes: list[Vote]) -> list[Difference]:
    """Compare systems with each other and with the hidden reference; anchors are left out."""
    names = [*design.named("system"), *design.named("reference")]
    compared = _preferences(votes) if design.rules.samples == "pair" else _matched(names, votes)
    tested = [entry for entry in compared if entry[2].p_value is not None]
    corrected = dict(zip((e[:2] for e in tested), holm([e[2].p_value for e in tested]), strict=True)) if tested else {}
    differences = []
    for first, second, found in compared:
        difference = Difference(
            first, second, found.votes, found.raters, found.items, found.mean, found.clustered, found.bootstrap,
            p=found.p_value, p_holm=corrected.get((first, second)),
        )  # fmt: skip
        differences.append(difference)
    return differences


def _matched(names: list[str], votes: list[Vote]) -> list[tuple[str, str, ClusteredMean]]:
    """Differences on the same rater and item."""
    raters = sorted({vote.rater for vote in votes})
    items = sorted({vote.item for vote in votes})
    matrices = {name: np.full((len(raters), len(items)), np.nan) for name in names}
    for vote in votes:
        if vote.system in matrices:
            matrices[vote.system][raters.index(vote.rater), items.index(vote.item)] = vote.score
    return paired_differences(matrices)


def _preferences(votes: list[Vote]) -> list[tuple[str, str, ClusteredMean]]:
    """Differences within one trial of two samples: 1 where the first was preferred, -1 where the second."""
    trials = defaultdict(list)
    for vote in votes:
        trials[vote.trial].append(vote)
    pairs = defaultdict(list)
    for slots in trials.values():
        first, second = sorted(slots, key=lambda vote: vote.system)
        pairs[first.system, second.system].append(replace(first, score=first.score - second.score))
    return [(*names, clustered_mean(_matrix(found))) for names, found in sorted(pairs.items())]


def _artifact_counts(design: ListeningTest, votes: list[Vote]) -> list[ArtifactCount]:
    """Count labels per system, each once per vote, and how many seconds were marked."""
    counts = []
    for system in design.systems:
        mine = [vote for vote in votes if vote.system == system.name]
        marked = [mark for vote in mine for mark in vote.marks]
        named = [{*vote.labels, *(mark.label for mark in vote.marks)} for vote in mine]
        by_label = Counter(label for labels in named for label in labels)
        counts.append(
            ArtifactCount(
                system=system.name,
                votes=len(mine),
                votes_with_artifacts=sum(bool(labels) for labels in named),
                labels={label: by_label[label] for label in ARTIFACT_LABELS},
                marks=len(marked),
                marked_seconds=sum(mark.end - mark.start for mark in marked),
            )
        )
    return counts


def _cells(design: ListeningTest, votes: list[Vote]) -> list[Cell]:
    """Mean score and marks of each system's version of each item; hidden reference and anchor are left out."""
    scores, marks = defaultdict(list), defaultdict(list)
    for vote in votes:
        scores[vote.system, vote.item].append(vote.score)
        marks[vote.system, vote.item] += vote.marks
    return [
        Cell(system, item.id, float(np.mean(found)), marks[system, item.id])
        for system in design.named("system")
        for item in design.test_items
        if (found := scores.get((system, item.id)))
    ]


def _matrix(votes: list[Vote]) -> np.ndarray:
    """Arrange scores as ``(raters, items)``."""
    return score_matrix([vote.rater for vote in votes], [vote.item for vote in votes], [vote.score for vote in votes])[
        0
    ]
