"""Statistics of listening tests, on plain arrays of scores: intervals that know that raters and items are samples.

A system's scores form a matrix ``(raters, items)`` with NaN where a rater did not score an item. Raters and items are
crossed: scores of one rater share that rater's severity, scores of one item share its difficulty. An interval that
takes them for independent is too narrow, often by a factor of two.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from evagan_plugin.errors import require

CONFIDENCE = 0.95
NORMAL_QUANTILE = 1.959964
"""What a normal variable stays below with probability 0.975."""
DRAWS = 2000
"""Bootstrap resamples."""


@dataclass(frozen=True)
class ClusteredMean:
    """A mean with two 95 % intervals; intervals are ``None`` where there are too few raters or items for one."""

    mean: float | None
    """``None`` without votes."""
    raters: int
    items: int
    votes: int
    clustered: tuple[float, float] | None
    """By the two-way clustered variance, with Student's t."""
    bootstrap: tuple[float, float] | None
    """By the crossed bootstrap over raters and items."""
    p_value: float | None
    """Of mean 0 under the clustered variance: for differences."""


def score_matrix(
    raters: Sequence[object], items: Sequence[object], scores: Sequence[float]
) -> tuple[np.ndarray, list[object], list[object]]:
    """Arrange scores as ``(raters, items)``, NaN where there is none; several for one place are averaged.

    Returns:
        The matrix, and the labels of its rows and columns, sorted.
    """
    row_of = {rater: index for index, rater in enumerate(sorted(set(raters)))}
    column_of = {item: index for index, item in enumerate(sorted(set(items)))}
    rows = np.array([row_of[rater] for rater in raters], dtype=int)
    columns = np.array([column_of[item] for item in items], dtype=int)
    total = np.zeros((len(row_of), len(column_of)))
    count = np.zeros_like(total)
    np.add.at(total, (rows, columns), np.asarray(scores, dtype=float))
    np.add.at(count, (rows, columns), 1)
    matrix = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return matrix, list(row_of), list(column_of)


def clustered_mean(matrix: np.ndarray, seed: int = 0) -> ClusteredMean:
    """Return the mean of all scores of a matrix ``(raters, items)`` with its intervals."""
    matrix = _without_empty(matrix)
    votes = int(np.isfinite(matrix).sum())
    if not votes:
        return ClusteredMean(None, 0, 0, 0, None, None, None)
    mean = float(np.nanmean(matrix))
    raters, items = matrix.shape
    error, degrees = clustered_error(matrix)
    if error is None:
        return ClusteredMean(mean, raters, items, votes, None, None, None)
    reach = student_quantile(0.5 + CONFIDENCE / 2, degrees) * error
    p_value = student_tail(abs(mean) / error, degrees) if error > 0 else float(mean == 0)
    bootstrap = bootstrap_interval(matrix, np.random.default_rng(seed))
    return ClusteredMean(mean, raters, items, votes, (mean - reach, mean + reach), bootstrap, p_value)


def clustered_error(matrix: np.ndarray) -> tuple[float | None, int]:
    """Return the standard error of the mean, clustered by rater and by item, and its degrees of freedom.

    V = V_rater + V_item - V_rater x item (Cameron, Gelbach and Miller 2011, equation 2.9), each with the factor
    G / (G - 1) of its number of clusters G; Student's t then has min(raters, items) - 1 degrees of freedom. Where the
    subtraction leaves less than the larger of the first two, that larger one is taken.

    Args:
        matrix: Scores ``(raters, items)``, NaN where there is none, no empty row or column.

    Returns:
        ``None`` in place of the error if there are fewer than two raters or items.
    """
    raters, items = matrix.shape
    if min(raters, items) < 2:
        return None, 0
    votes = np.isfinite(matrix).sum()
    residual = np.nan_to_num(matrix - np.nanmean(matrix))
    by_rater = raters / (raters - 1) * np.square(residual.sum(axis=1)).sum() / votes**2
    by_item = items / (items - 1) * np.square(residual.sum(axis=0)).sum() / votes**2
    by_vote = votes / (votes - 1) * np.square(residual).sum() / votes**2
    variance = max(by_rater + by_item - by_vote, by_rater, by_item)
    return math.sqrt(variance), min(raters, items) - 1


def bootstrap_interval(matrix: np.ndarray, rng: np.random.Generator, draws: int = DRAWS) -> tuple[float, float] | None:
    """Return the interval of the crossed bootstrap: raters and items are both drawn with replacement.

    Owen (2007), "The pigeonhole bootstrap". Drawn both ways, the noise of a single vote is counted three times (theorem
    3 there), and with few raters or items the spread among drawn ones is too small. The percentile deviations are
    therefore scaled to the clustered standard error and to Student's t: the bootstrap gives the interval its shape, a
    skew near the ends of the scale above all.

    Args:
        matrix: Scores ``(raters, items)``, NaN where there is none, no empty row or column.
        rng: Source of the draws.
        draws: Number of resamples.

    Returns:
        ``None`` if there are fewer than two raters or items.
    """
    error, degrees = clustered_error(matrix)
    if error is None:
        return None
    raters, items = matrix.shape
    present = np.isfinite(matrix).astype(float)
    scores = np.nan_to_num(matrix)
    rater_weights = rng.multinomial(raters, np.full(raters, 1 / raters), size=draws).astype(float)
    item_weights = rng.multinomial(items, np.full(items, 1 / items), size=draws).astype(float)
    totals = ((rater_weights @ scores) * item_weights).sum(axis=1)
    counts = ((rater_weights @ present) * item_weights).sum(axis=1)
    means = totals[counts > 0] / counts[counts > 0]
    mean, spread = float(np.nanmean(matrix)), float(means.std())
    if spread == 0:
        return mean, mean
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means - means.mean(), [tail, 1 - tail])
    scale = error / spread * student_quantile(1 - tail, degrees) / NORMAL_QUANTILE
    return mean + scale * float(low), mean + scale * float(high)


def paired_differences(matrices: Mapping[str, np.ndarray], seed: int = 0) -> list[tuple[str, str, ClusteredMean]]:
    """Compare all pairs of systems on the same rater and item.

    Args:
        matrices: Scores ``(raters, items)`` of each system, rows and columns meaning the same in all of them.
        seed: Seed of the bootstrap.

    Returns:
        (first, second, estimate of first minus second) of each pair that has common scores.
    """
    names = list(matrices)
    pairs = [(first, second) for index, first in enumerate(names) for second in names[index + 1 :]]
    compared = [(first, second, clustered_mean(matrices[first] - matrices[second], seed)) for first, second in pairs]
    return [entry for entry in compared if entry[2].votes]


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's rank correlation; NaN if one of them is constant."""
    if any(np.ptp(values) == 0 for values in (first, second)):
        return math.nan
    return float(_stats().spearmanr(first, second).statistic)


def student_tail(t: float, degrees: int) -> float:
    """Return the two-sided probability of Student's t beyond ``t``."""
    return float(2 * _stats().t.sf(t, degrees))


def student_quantile(probability: float, degrees: int) -> float:
    """Return the value that Student's t stays below with that probability."""
    return float(_stats().t.ppf(probability, degrees))


def _stats() -> ModuleType:
    # Imported at use: it takes a second, and serving a test needs none of it.
    return require("scipy.stats", "listen")


def _without_empty(matrix: np.ndarray) -> np.ndarray:
    present = np.isfinite(matrix)
    return matrix[present.any(axis=1)][:, present.any(axis=0)]


def standardize(values: Iterable[float]) -> np.ndarray:
    """Return values minus their mean, divided by their standard deviation; zeros if they are constant."""
    array = np.asarray(list(values), dtype=float)
    spread = array.std()
    return np.zeros_like(array) if spread == 0 else (array - array.mean()) / spread
