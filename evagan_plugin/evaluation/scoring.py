"""Scores of systems against a reference: :func:`score_systems`, for the command line and for recipes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import combinations
from pathlib import Path

import numpy as np

from evagan_plugin.data.systems import (
    MatchedUtterance,
    check_system_names,
    common_sample_rate,
    match,
    read_categories,
)
from evagan_plugin.errors import UsageError
from evagan_plugin.evaluation.bootstrap import MetricEstimate, PairedDifference, compare_pair, estimate, holm
from evagan_plugin.evaluation.journal import Journal
from evagan_plugin.evaluation.metrics.base import Family, Metric, Sums
from evagan_plugin.evaluation.metrics.catalogue import families_for, select_metrics
from evagan_plugin.evaluation.options import ScoringOptions
from evagan_plugin.evaluation.scores import GROUND_TRUTH, ScoredCorpus, Scores, UtteranceScore, categories_of
from evagan_plugin.evaluation.utterance import score_item
from evagan_plugin.evaluation.versa import VersaFigures, read_versa_of, versa_metrics, with_versa
from evagan_plugin.utils.device import checked_device
from evagan_plugin.utils.parts import Part, in_part
from evagan_plugin.utils.processes import in_processes
from evagan_plugin.utils.progress import say, track


def score_systems(
    reference: str | Path,
    systems: Mapping[str, str | Path],
    metrics: str | Iterable[str] = ScoringOptions.metrics,
    *,
    periodicity: str | None = ScoringOptions.periodicity,
    nj: int = ScoringOptions.nj,
    out: str | Path | None = None,
    manifest: str | Path | None = ScoringOptions.manifest,
    ground_truth: bool = ScoringOptions.ground_truth,
    device: str = ScoringOptions.device,
    allow_pipes: bool = ScoringOptions.allow_pipes,
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
        allow_pipes: Run the commands that a ``wav.scp`` may have in the place of files.

    Raises:
        UsageError: For input that cannot be compared: no common utterance, several sample rates, unknown metric.
        EvaganError: If a package is missing or a process died.

    Single bad files do not end the run: they are listed in the result.
    """
    options = ScoringOptions(metrics, periodicity, manifest, ground_truth, nj, device, allow_pipes=allow_pipes)
    return ScoringPlan.of(reference, systems, options).run(out)


def score_part(
    reference: str | Path, systems: Mapping[str, str | Path], options: ScoringOptions, out: Path, part: Part
) -> int:
    """Score the utterances of one part of many into ``out``, from where :func:`score_systems` takes their scores.

    Returns:
        int: How many there are.

    Arguments and errors are otherwise those of :func:`score_systems`.
    """
    plan = ScoringPlan.of(reference, systems, options, part)
    plan.score_all(Journal(out, plan.metrics, part))
    return len(plan.items)


@dataclass(frozen=True)
class ScoringPlan(ScoredCorpus):
    """Systems matched with a reference and checked; nothing is computed yet."""

    metrics: tuple[Metric, ...]
    items: list[MatchedUtterance]
    """What can be scored, sorted by utterance id."""
    options: ScoringOptions
    versa: dict[str, VersaFigures]
    """By system, what VERSA measured."""

    @classmethod
    def of(
        cls,
        reference: str | Path,
        systems: Mapping[str, str | Path],
        options: ScoringOptions,
        part: Part | None = None,
    ) -> "ScoringPlan":
        """Match and check; see :func:`score_systems` for what is refused. Of a part, its utterances alone, whose
        sample rate the whole checks."""
        if not systems:
            raise UsageError("no system to score")
        check_system_names(systems, taken=(GROUND_TRUTH,))
        checked_device(options.device)
        metrics = select_metrics(options.metrics, options.periodicity)
        categories = read_categories(options.manifest) if options.manifest else None
        items, unmatched = match(reference, systems, categories, options.allow_pipes)
        items = in_part(part, items, lambda item: item.utt_id)
        names = {name: str(path) for name, path in systems.items()}
        versa = read_versa_of(systems, options.versa, [item.utt_id for item in items])
        rate = 0 if part else common_sample_rate(items)
        return cls(str(reference), names, rate, metrics, unmatched, items, options, versa)

    def run(self, out: str | Path | None = None) -> Scores:
        """Score every utterance, and go on from what is kept in ``out``."""
        utterances = self.score_all(Journal(Path(out), self.metrics) if out is not None else None)
        utterances = [with_versa(score, self.versa) for score in utterances]
        metrics = (*self.metrics, *versa_metrics(self.versa))
        systems = self.systems | ({GROUND_TRUTH: self.reference} if self.options.ground_truth else {})
        return Scores(
            reference=self.reference,
            systems=systems,
            sample_rate=self.sample_rate,
            metrics=metrics,
            utterances=utterances,
            unmatched=self.unmatched,
            estimates=_estimates(utterances, systems, metrics),
            comparisons=_differences(utterances, self.systems, metrics),
        )

    def score_all(self, journal: Journal | None) -> list[UtteranceScore]:
        """Return the scores of every utterance and system; go on from a journal, and close it."""
        work = _Work(tuple(metric.name for metric in self.metrics), self.options.ground_truth, self.options.device)
        found: dict[str, list[UtteranceScore]] = {}
        try:
            with closing(_score_all(self.items, work, self.options.nj, journal)) as results:
                for item, scores in results:
                    found[item.utt_id] = scores
        except BaseException:
            if journal:
                journal.close()
            raise
        utterances = [score for item in self.items for score in found[item.utt_id]]
        if journal:
            journal.close(utterances)
        return utterances


def _estimates(
    utterances: list[UtteranceScore], systems: Iterable[str], metrics: Sequence[Metric]
) -> dict[tuple[str, str | None, str], MetricEstimate]:
    """Return corpus figures with their intervals by system, category (None for all) and metric."""
    found = {}
    for system in systems:
        for category in (None, *categories_of(utterances)):
            for metric in metrics:
                sums = _sums(utterances, system, metric, category).values()
                found[system, category, metric.name] = estimate(metric, np.array(list(sums), dtype=np.float64))
    return found


def _differences(
    utterances: list[UtteranceScore], systems: Iterable[str], metrics: Sequence[Metric]
) -> list[PairedDifference]:
    """Return what every pair of systems differs by under every metric, p-values corrected for their number."""
    found = []
    for pair in combinations(systems, 2):
        for metric in metrics:
            first, second = (_sums(utterances, system, metric) for system in pair)
            common = sorted(first.keys() & second.keys())
            sums = (np.array([side[key] for key in common], dtype=np.float64) for side in (first, second))
            found.append(compare_pair(metric, pair, *sums))
    adjusted = holm([difference.p_value for difference in found])
    return [replace(difference, p_adjusted=p) for difference, p in zip(found, adjusted, strict=True)]


def _sums(
    utterances: list[UtteranceScore], system: str, metric: Metric, category: str | None = None
) -> dict[str, Sums]:
    """Return the sums of a metric by utterance id, scored utterances only."""
    return {
        score.utt_id: score.sums[metric.name]
        for score in utterances
        if score.system == system and metric.name in score.sums and category in (None, score.category)
    }


@dataclass(frozen=True)
class _Work:
    """What every process needs to know."""

    metrics: tuple[str, ...]
    ground_truth: bool
    device: str


def _score_all(
    items: Sequence[MatchedUtterance], work: _Work, nj: int, journal: Journal | None
) -> Iterator[tuple[MatchedUtterance, list[UtteranceScore]]]:
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
    # Networks such as CREPE start with the first utterance, which takes longer than any other.
    say(f"score: {len(waiting)} utterances; starting {', '.join(work.metrics)}")
    score = partial(_score, work=work)
    new = in_processes(score, waiting, jobs) if jobs > 1 else ((item, score(item)) for item in waiting)
    with closing(new):
        for item, scores in track(new, "score", len(waiting)):
            if journal:
                journal.add(item, scores)
            yield item, scores


@cache
def _prepared(names: tuple[str, ...], device: str) -> tuple[Family, ...]:
    """Return the families of the metrics with their models, loaded once per process."""
    families = families_for(names, device)
    for family in families:
        family.prepare()
    return families


def _score(item: MatchedUtterance, work: _Work) -> list[UtteranceScore]:
    """Score an utterance; of the families' metrics only those that were asked for stay."""
    return [
        replace(
            score,
            sums={name: score.sums[name] for name in work.metrics if name in score.sums},
            values={name: score.values[name] for name in work.metrics if name in score.values},
            not_scored={name: score.not_scored[name] for name in work.metrics if name in score.not_scored},
        )
        for score in score_item(item, _prepared(work.metrics, work.device), work.ground_truth)
    ]
