"""Intervals and significance over utterances, for mean and pooled metrics alike."""

from dataclasses import dataclass

import numpy as np

from evagan_plugin.evaluation.metrics.base import Metric

SAMPLES = 2000
SEED = 0
CHUNK = 200


@dataclass(frozen=True)
class Estimate:
    """A figure of a corpus with its 95 % bootstrap interval over utterances."""

    value: float
    low: float
    high: float
    utterances: int


@dataclass(frozen=True)
class Comparison:
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
    """The same, corrected by Holm's method for all comparisons of the table."""
    utterances: int


def estimate(metric: Metric, sums: np.ndarray) -> Estimate:
    """Return the figure of a corpus and its 95 % percentile interval.

    Args:
        metric: Gives the formula.
        sums: ``(utterances, k)``.

    With one utterance the interval is that figure itself: nothing is known about the spread.
    """
    if len(sums) == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    low, high = _interval(metric.pool(_resampled(sums)))
    return Estimate(metric.value(sums.sum(axis=0)), low, high, len(sums))


def compare_pair(metric: Metric, names: tuple[str, str], first: np.ndarray, second: np.ndarray) -> Comparison:
    """Compare two systems on the same utterances, sums ``(utterances, k)`` each; ``p_adjusted`` stays uncorrected."""
    count = len(first)
    difference = metric.value(first.sum(axis=0)) - metric.value(second.sum(axis=0)) if count else np.nan
    if np.isnan(difference):
        return Comparison(*names, metric.name, np.nan, np.nan, np.nan, np.nan, np.nan, count)
    # The same draws for both systems: utterances are resampled, not scores.
    low, high = _interval(metric.pool(_resampled(first)) - metric.pool(_resampled(second)))
    swaps = np.random.default_rng(SEED).integers(0, 2, (SAMPLES, count)).astype(np.float64)
    total, gap = first.sum(axis=0), second - first
    shuffled = metric.pool(total + swaps @ gap) - metric.pool(second.sum(axis=0) - swaps @ gap)
    # Differences that are equal but for rounding count as equal.
    # A difference that is undefined counts as large: it must not add to the significance.
    as_large = ~(np.abs(shuffled) < abs(difference) * (1 - 1e-9))
    p_value = float((1 + np.count_nonzero(as_large)) / (1 + SAMPLES))
    return Comparison(*names, metric.name, difference, low, high, p_value, p_value, count)


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
