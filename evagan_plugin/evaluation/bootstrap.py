"""Intervals and significance over utterances, for mean and pooled metrics alike; listening tests share :func:`holm`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evagan_plugin.evaluation.metrics.base import Metric

SAMPLES = 2000
SEED = 0
CHUNK = 200


@dataclass(frozen=True)
class MetricEstimate:
    """A figure of a corpus with its 95 % bootstrap interval over utterances."""

    value: float
    low: float
    high: float
    utterances: int


@dataclass(frozen=True)
class PairedDifference:
    """System ``first`` minus system ``second`` on the utterances that both have."""

    first: str
    second: str
    metric: str
    difference: float
    low: float
    high: float
    p_value: float
    """Two-sided paired randomisation test: how often a swap of the systems at random utterances gives as much."""
    p_adjusted: float
    """The same, corrected by :func:`holm` for all pairs and metrics of the table."""
    utterances: int


def estimate(metric: Metric, sums: np.ndarray) -> MetricEstimate:
    """Return the figure of a corpus and its 95 % percentile interval.

    Args:
        metric: Gives the formula.
        sums: ``(utterances, k)``.

    With one utterance the interval is that figure itself: nothing is known about the spread.
    """
    if len(sums) == 0:
        return MetricEstimate(np.nan, np.nan, np.nan, 0)
    low, high = _interval(metric.pool(_resampled(sums)))
    return MetricEstimate(metric.value(sums.sum(axis=0)), low, high, len(sums))


def compare_pair(metric: Metric, names: tuple[str, str], first: np.ndarray, second: np.ndarray) -> PairedDifference:
    """Compare two systems on the same utterances, sums ``(utterances, k)`` each; ``p_adjusted`` stays uncorrected."""
    count = len(first)
    difference = metric.value(first.sum(axis=0)) - metric.value(second.sum(axis=0)) if count else np.nan
    if np.isnan(difference):
        return PairedDifference(*names, metric.name, np.nan, np.nan, np.nan, np.nan, np.nan, count)
    # The same draws for both systems: utterances are resampled, not scores.
    low, high = _interval(metric.pool(_resampled(first)) - metric.pool(_resampled(second)))
    swaps = np.random.default_rng(SEED).integers(0, 2, (SAMPLES, count)).astype(np.float64)
    total, gap = first.sum(axis=0), second - first
    shuffled = metric.pool(total + swaps @ gap) - metric.pool(second.sum(axis=0) - swaps @ gap)
    # Differences that are equal but for rounding count as equal.
    # A difference that is undefined counts as large: it must not add to the significance.
    as_large = ~(np.abs(shuffled) < abs(difference) * (1 - 1e-9))
    p_value = float((1 + np.count_nonzero(as_large)) / (1 + SAMPLES))
    return PairedDifference(*names, metric.name, difference, low, high, p_value, p_value, count)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979), in the given order; NaN stays NaN and does not count."""
    values = np.asarray(p_values, dtype=np.float64)
    order = [index for index in np.argsort(values) if not np.isnan(values[index])]
    corrected, highest = values.copy(), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * values[index]))
        corrected[index] = highest
    return corrected.tolist()


def _resampled(sums: np.ndarray) -> np.ndarray:
    """Return the total sums ``(SAMPLES, k)`` of utterances drawn with replacement."""
    generator, count = np.random.default_rng(SEED), len(sums)
    # In chunks: a corpus of 10,000 utterances would need 160 MB of indices at once.
    draws = (sums[generator.integers(0, count, (CHUNK, count))].sum(axis=1) for _ in range(SAMPLES // CHUNK))
    return np.concatenate(list(draws))


def _interval(values: np.ndarray) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    if values.size == 0:
        return np.nan, np.nan
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
