"""Statistics against closed forms, and against simulations whose truth is known."""

import math

import numpy as np
import pytest

from evagan_plugin.listening.results.analysis import (
    bootstrap_interval,
    clustered_error,
    clustered_mean,
    paired_differences,
    rank_correlation,
    score_matrix,
    student_quantile,
    student_tail,
)


def simulate(rng: np.random.Generator, raters: int, items: int, each: int, spread: tuple[float, float, float]):
    """Scores 1 to 5 of raters who hear ``each`` of the items; spread of raters, items, and single votes."""
    of_raters, of_items, of_votes = spread
    latent = 3.6 + of_raters * rng.standard_normal((raters, 1)) + of_items * rng.standard_normal((1, items))
    scores = np.clip(np.round(latent + of_votes * rng.standard_normal((raters, items))), 1, 5)
    heard = (np.arange(items) - np.arange(raters)[:, None] * each) % items < each
    return np.where(heard, scores, np.nan)


def true_mean(spread: tuple[float, float, float]) -> float:
    """Expected score of :func:`simulate`: the latent one is normal, so each threshold's probability is known."""
    deviation = math.hypot(*spread)
    above = [0.5 * math.erfc((threshold + 0.5 - 3.6) / deviation / math.sqrt(2)) for threshold in range(1, 5)]
    return 1 + sum(above)


def coverage(tests: int, raters: int, items: int, each: int, spread: tuple[float, float, float]) -> dict[str, float]:
    """Part of simulated tests whose intervals hold the truth."""
    rng, truth = np.random.default_rng(7), true_mean(spread)
    hits = {"clustered": 0, "bootstrap": 0, "naive": 0}
    for number in range(tests):
        matrix = simulate(rng, raters, items, each, spread)
        found = clustered_mean(matrix, seed=number)
        votes = matrix[np.isfinite(matrix)]
        reach = 1.96 * votes.std(ddof=1) / math.sqrt(len(votes))
        hits["clustered"] += found.clustered[0] <= truth <= found.clustered[1]
        hits["bootstrap"] += found.bootstrap[0] <= truth <= found.bootstrap[1]
        hits["naive"] += abs(found.mean - truth) <= reach
    return {name: count / tests for name, count in hits.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("raters", "items", "each", "spread"),
    [
        (20, 20, 20, (0.5, 0.4, 0.6)),
        (30, 20, 10, (0.5, 0.4, 0.6)),
        (30, 20, 10, (0.3, 0.3, 0.8)),
        (12, 10, 10, (0.5, 0.4, 0.6)),
        (50, 40, 10, (0.6, 0.1, 0.7)),
    ],
)
def test_intervals_cover_the_truth_in_a_thousand_tests(raters, items, each, spread):
    found = coverage(1000, raters, items, each, spread)
    assert 0.93 <= found["clustered"] <= 0.97
    assert 0.93 <= found["bootstrap"] <= 0.97


def test_intervals_cover_the_truth_and_naive_ones_do_not():
    found = coverage(150, 20, 20, 20, (0.5, 0.4, 0.6))
    # Two binomial standard errors of 150 tests below and above 93 to 97 %.
    assert 0.89 <= found["clustered"] <= 1 and 0.89 <= found["bootstrap"] <= 1
    assert found["naive"] < 0.8


def test_clustered_variance_is_its_formula():
    matrix = np.array([[1.0, 2.0, 4.0], [2.0, 2.0, 5.0]])
    residual = matrix - matrix.mean()
    by_rater = 2 * (residual.sum(axis=1) ** 2).sum() / 36
    by_item = 3 / 2 * (residual.sum(axis=0) ** 2).sum() / 36
    by_vote = 6 / 5 * (residual**2).sum() / 36
    error, degrees = clustered_error(matrix)
    assert error**2 == pytest.approx(max(by_rater + by_item - by_vote, by_rater, by_item))
    assert degrees == 1


def test_one_rater_gives_a_mean_but_no_interval():
    found = clustered_mean(np.array([[3.0, 4.0, 5.0]]))
    assert (found.mean, found.clustered, found.bootstrap) == (4.0, None, None)


def test_equal_scores_give_an_interval_of_width_zero():
    found = clustered_mean(np.full((4, 5), 4.0))
    assert found.clustered == found.bootstrap == (4.0, 4.0)


def test_bootstrap_repeats_itself_and_is_skewed_at_the_end_of_the_scale():
    scores = np.where(np.random.default_rng(3).random((12, 12)) < 0.1, 1.0, 5.0)
    first = bootstrap_interval(scores, np.random.default_rng(0))
    assert first == bootstrap_interval(scores, np.random.default_rng(0))
    low, high = first
    assert scores.mean() - low > high - scores.mean()


def test_paired_differences_cancel_what_raters_and_items_share():
    rng = np.random.default_rng(5)
    shared = 3 + rng.standard_normal((15, 1)) + rng.standard_normal((1, 12))
    systems = {name: shared + shift + 0.1 * rng.standard_normal((15, 12)) for name, shift in (("a", 0.2), ("b", 0.0))}
    systems["b"][0, 0] = np.nan
    [(first, second, found)] = paired_differences(systems)
    assert (first, second, found.votes) == ("a", "b", 15 * 12 - 1)
    assert found.clustered[0] < 0.2 < found.clustered[1]
    assert found.clustered[1] - found.clustered[0] < 0.1 < np.ptp(clustered_mean(systems["a"]).clustered)
    assert found.p_value < 1e-6


def test_pairs_without_common_scores_are_left_out():
    left, right = np.full((2, 2), np.nan), np.full((2, 2), np.nan)
    left[0], right[1] = 3.0, 4.0
    assert paired_differences({"a": left, "b": right}) == []


@pytest.mark.parametrize("value", [0.1, 1.0, 2.5, 12.0])
def test_students_t_is_two_sided(value):
    assert student_tail(value, 1) == pytest.approx(1 - 2 / math.pi * math.atan(value), rel=1e-8)
    assert student_tail(value, 2) == pytest.approx(1 - value / math.sqrt(2 + value**2), rel=1e-8)
    assert student_tail(math.inf, 3) == 0


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.7062047362), (2, 4.3026527297), (5, 2.5705818356), (19, 2.0930240544)]
)
def test_students_quantile_is_that_of_tables(degrees, quantile):
    assert student_quantile(0.975, degrees) == pytest.approx(quantile, rel=1e-8)
    assert student_tail(quantile, degrees) == pytest.approx(0.05, rel=1e-8)


def test_rank_correlation_shares_the_ranks_of_ties_and_knows_constants():
    first, second = [1, 2, 2, 5, 4, 4], [3, 1, 2, 6, 6, 5]
    ranks = [1, 2.5, 2.5, 6, 4.5, 4.5], [3, 1, 2, 5.5, 5.5, 4]
    assert rank_correlation(first, second) == pytest.approx(np.corrcoef(*ranks)[0, 1], rel=1e-12)
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))


def test_score_matrix_places_scores_and_averages_repeats():
    matrix, raters, items = score_matrix([2, 1, 1, 2], ["b", "a", "b", "b"], [4, 3, 5, 2])
    assert (raters, items) == ([1, 2], ["a", "b"])
    np.testing.assert_array_equal(matrix, [[3, 5], [np.nan, 3]])
