"""Scores of systems against a reference: :func:`score_systems`, for the command line and for recipes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from itertools import combinations
from pathlib import Path

import numpy as np

from evagan_plugin.data.systems import (
    Item,
    Unmatched,
    check_system_names,
    common_sample_rate,
    match,
    read_categories,
)
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.evaluation.bootstrap import MetricEstimate, PairedDifference, compare_pair, estimate, holm
from evagan_plugin.evaluation.journal import Journal
from evagan_plugin.evaluation.metrics.base import Family, Metric
from evagan_plugin.evaluation.metrics.catalogue import families_for, select_metrics
from evagan_plugin.evaluation.processes import in_processes
from evagan_plugin.evaluation.utterance import GROUND_TRUTH, UtteranceScore, score_item
from evagan_plugin.utils.device import checked_device
from evagan_plugin.utils.progress import track


@dataclass(frozen=True)
class Scores:
    """Scores of several systems on one corpus."""

    reference: str
    systems: dict[str, str]
    """Where each system's audio came from; the ground truth's is the reference."""
    sample_rate: int
    """Hz."""
    metrics: tuple[Metric, ...]
    utterances: list[UtteranceScore]
    """Sorted by utterance id, systems in the order given; bad input included."""
    unmatched: list[Unmatched]
    _estimates: dict[tuple[str, str, str | None], MetricEstimate] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def problems(self) -> list[UtteranceScore]:
        """Pairs that could not be scored."""
        return [score for score in self.utterances if score.problem]

    def check_complete(self) -> None:
        """Raise :class:`EvaganError` if an utterance of a system is missing, left over or bad input."""
        lacking = [*self.problems, *self.unmatched]
        if lacking:
            first = lacking[0]
            reason = first.reason if isinstance(first, Unmatched) else first.problem
            raise EvaganError(
                f"{len(lacking)} of {len(self.utterances) + len(self.unmatched)} pairs could not be scored, the first: "
                f"{first.utt_id}, {first.system}: {reason}; all are listed above; --skip-broken accepts this"
            )

    @cached_property
    def categories(self) -> list[str]:
        """Categories of the utterances, sorted; empty without a manifest."""
        return sorted({score.category for score in self.utterances if score.category is not None})

    def estimate(self, system: str, metric: Metric, category: str | None = None) -> MetricEstimate:
        """Return the corpus figure of a system with its interval, of one category or of all; drawn once, then kept."""
        key = (system, metric.name, category)
        if key not in self._estimates:
            found = self._sums(system, metric, category)
            self._estimates[key] = estimate(metric, np.array(list(found.values()), dtype=np.float64))
        return self._estimates[key]

    @cached_property
    def comparisons(self) -> list[PairedDifference]:
        """Every pair of systems but the ground truth under every metric, p-values corrected for their number."""
        names = [name for name in self.systems if name != GROUND_TRUTH]
        found = [
            self._compare(first, second, metric) for first, second in combinations(names, 2) for metric in self.metrics
        ]
        adjusted = holm([comparison.p_value for comparison in found])
        return [replace(comparison, p_adjusted=p) for comparison, p in zip(found, adjusted, strict=True)]

    def _sums(self, system: str, metric: Metric, category: str | None = None) -> dict[str, Sequence[float]]:
        """Return the sums of a metric by utterance id, scored utterances only."""
        return {
            score.utt_id: score.sums[metric.name]
            for score in self.utterances
            if score.system == system and metric.name in score.sums and category in (None, score.category)
        }

    def _compare(self, first: str, second: str, metric: Metric) -> PairedDifference:
        left, right = self._sums(first, metric), self._sums(second, metric)
        common = sorted(left.keys() & right.keys())
        sums = (np.array([side[key] for key in common], dtype=np.float64) for side in (left, right))
        return compare_pair(metric, (first, second), *sums)


def score_systems(
    reference: str | Path,
    systems: Mapping[str, str | Path],
    metrics: str | Iterable[str] = "fast",
    *,
    periodicity: str | None = None,
    nj: int = 1,
    out: str | Path | None = None,
    manifest: str | Path | None = None,
    ground_truth: bool = False,
    device: str = "cpu",
) -> Scores:
    """Score systems against a reference, utterance by utterance.

    Args:
        reference: Directory of audio, ``wav.scp``, or directory that holds one.
        systems: The same of each system, by name.
        metrics: Sets (``fast``, ``full``) and names of metrics; see :func:`select_metrics`.
        periodicity: CREPE's network for the pitch metrics, ``tiny`` or ``full``; by default that of the set.
        nj: Number of processes.
        out: Directory where finished utterances are kept: the same call again goes on from there.
        manifest: Tab-separated table with ``utt_id`` and ``category`` of every utterance; speech metrics are for
            speech only then.
        ground_truth: Score the reference itself, copied through a 16-bit WAV, as one more system.
        device: Where networks run, e.g. ``cuda``.

    Raises:
        UsageError: For input that cannot be compared: no common utterance, several sample rates, unknown metric.
        EvaganError: If a package is missing or a process died.

    Single bad files do not end the run: they are listed in the result.
    """
    if not systems:
        raise UsageError("no system to score")
    check_system_names(systems, taken=(GROUND_TRUTH,))
    checked_device(device)
    chosen = select_metrics(metrics, periodicity)
    categories = read_categories(manifest) if manifest else None
    items, unmatched = match(reference, systems, categories)
    sample_rate = common_sample_rate(items)
    work = _Work(tuple(metric.name for metric in chosen), ground_truth, device)
    journal = Journal(Path(out), chosen) if out is not None else None
    found: dict[str, list[UtteranceScore]] = {}
    try:
        with closing(_score_all(items, work, nj, journal)) as results:
            for item, scores in results:
                found[item.utt_id] = scores
    except BaseException:
        if journal:
            journal.close()
        raise
    utterances = [score for item in items for score in found[item.utt_id]]
    if journal:
        journal.close(utterances)
    names = {name: str(path) for name, path in systems.items()}
    if ground_truth:
        names[GROUND_TRUTH] = str(reference)
    return Scores(str(reference), names, sample_rate, chosen, utterances, unmatched)


@dataclass(frozen=True)
class _Work:
    """What every process needs to know."""

    metrics: tuple[str, ...]
    ground_truth: bool
    device: str


def _score_all(
    items: Sequence[Item], work: _Work, nj: int, journal: Journal | None
) -> Iterator[tuple[Item, list[UtteranceScore]]]:
    """Yield every utterance with its scores: those of the journal first, then new ones as they are done."""
    waiting = []
    for item in items:
        systems = [*item.hypotheses, *[GROUND_TRUTH] * work.ground_truth]
        scores = journal.finished(item, systems) if journal else None
        if scores is None:
            waiting.append(item)
        else:
            yield item, scores
    if not waiting:
        return
    jobs = min(nj, len(waiting))
    score = partial(_score, work=work)
    new = in_processes(score, waiting, jobs) if jobs > 1 else ((item, score(item)) for item in waiting)
    with closing(new):
        for item, scores in track(new, "score", len(waiting)):
            if journal:
                journal.add(item, scores)
            yield item, scores


@cache
def _prepared(names: tuple[str, ...], device: str) -> tuple[Family, ...]:
    """Return the families of the metrics with their models, loaded once a process."""
    families = families_for(names, device)
    for family in families:
        family.prepare()
    return families


def _score(item: Item, work: _Work) -> list[UtteranceScore]:
    """Score an utterance; of the families' metrics only those that were asked for stay."""
    return [
        replace(
            score,
            sums={name: score.sums[name] for name in work.metrics if name in score.sums},
            not_scored={name: score.not_scored[name] for name in work.metrics if name in score.not_scored},
        )
        for score in score_item(item, _prepared(work.metrics, work.device), work.ground_truth)
    ]
