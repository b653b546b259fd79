"""The utterances that a system does worst, with their audio."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evagan_plugin.audio.io import downmix, load_audio
from evagan_plugin.data.names import REFERENCE
from evagan_plugin.data.systems import MatchedUtterance
from evagan_plugin.errors import UsageError, nearest
from evagan_plugin.evaluation.metrics.base import MetricInfo
from evagan_plugin.evaluation.scores import Scores

COUNT = 10
"""Utterances that a report shows and plays."""
LONGEST_SECONDS = 10.0
"""So much of each, from its beginning: with :data:`COUNT` it bounds the size of a report."""
DEFAULT_METRIC = "m_stft"


@dataclass(frozen=True)
class Ranking:
    """By what utterances are called bad."""

    metric: MetricInfo
    system: str


@dataclass(frozen=True)
class WorstUtterance:
    """One of the worst utterances."""

    utt_id: str
    category: str | None
    values: dict[str, float]
    """The ranking metric by system, of those that were scored."""
    waves: dict[str, np.ndarray]
    """Equally long samples ``(T,)`` by name: :data:`REFERENCE` first, then the systems whose audio can be used."""
    whole_seconds: float
    """Length before it was cut to :data:`LONGEST_SECONDS`."""


def choose_ranking(
    metrics: Sequence[MetricInfo], systems: Iterable[str], by: str | None = None, of: str | None = None
) -> Ranking:
    """Return what ranks the utterances: by default M-STFT, or else the first metric, of the first system.

    Raises:
        UsageError: If ``by`` is not measured or ``of`` is no system; the nearest is named.
    """
    measured = {metric.name: metric for metric in metrics}
    names = list(systems)
    by = by or (DEFAULT_METRIC if DEFAULT_METRIC in measured else metrics[0].name)
    of = of or names[0]
    if by not in measured:
        raise UsageError(f"--worst-by {by}: this metric is not measured here: {nearest(by, measured)}")
    if of not in names:
        raise UsageError(f"--worst-of {of}: no system is called '{of}': {nearest(of, names)}")
    return Ranking(measured[by], of)


def worst_utterances(scores: Scores, items: Sequence[MatchedUtterance], ranking: Ranking) -> list[WorstUtterance]:
    """Return the worst utterances, the worst first, with the audio of all systems that have been scored on them."""
    found: dict[str, dict[str, float]] = {}
    for score in scores.utterances:
        if ranking.metric.name in score.values:
            found.setdefault(score.utt_id, {})[score.system] = score.values[ranking.metric.name]
    sign = -1 if ranking.metric.better == "lower" else 1
    ranked = sorted(
        (sign * values[ranking.system], utt_id)
        for utt_id, values in found.items()
        if not math.isnan(values.get(ranking.system, math.nan))
    )
    broken = {(score.utt_id, score.system) for score in scores.problems}
    by_id = {item.utt_id: item for item in items}
    return [
        _load(by_id[utt_id], found[utt_id], {name for key, name in broken if key == utt_id}, scores.sample_rate)
        for _, utt_id in ranked[:COUNT]
    ]


def _load(item: MatchedUtterance, values: dict[str, float], broken: set[str], sample_rate: int) -> WorstUtterance:
    usable: Mapping[str, Path] = {name: path for name, path in item.hypotheses.items() if name not in broken}
    paths = {REFERENCE: item.reference, **usable}
    waves = {name: downmix(load_audio(path)[0]) for name, path in paths.items()}
    # Systems may differ from the reference by less than a hop.
    whole = min(wav.size for wav in waves.values())
    length = min(whole, int(LONGEST_SECONDS * sample_rate))
    cut = {name: wav[:length] for name, wav in waves.items()}
    return WorstUtterance(item.utt_id, item.category, values, cut, whole / sample_rate)
