"""Intervals, pooling and significance."""

import numpy as np
import pytest

from evagan_plugin.evaluation.bootstrap import compare_pair, estimate, holm
from evagan_plugin.evaluation.metrics.base import Metric, f1, ratio, root_mean_square


def metric(pool):
    return Metric("m", "m", "", "lower", "all frames", "test", pool)


def test_pooled_figure_is_taken_over_frames_not_over_utterances():
    squares = np.array([[100.0, 10.0], [0.0, 990.0]])
    assert estimate(metric(root_mean_square), squares).value == pytest.approx(np.sqrt(100 / 1000))
    hits = np.array([[10.0, 0.0, 0.0], [1.0, 4.0, 5.0]])
    assert estimate(metric(f1), hits).value == pytest.approx(2 * 11 / (2 * 11 + 4 + 5))


def test_interval_holds_the_mean_and_narrows_with_the_corpus():
    generator = np.random.default_rng(0)
    widths = []
    for count in (10, 1000):
        sums = np.stack([generator.normal(5.0, 1.0, count), np.ones(count)], axis=1)
        result = estimate(metric(ratio), sums)
        assert result.low < result.value < result.high
        assert result.utterances == count
        widths.append(result.high - result.low)
    # Standard error: 1.96 * 2 / sqrt(n).
    assert widths[1] == pytest.approx(2 * 1.96 / np.sqrt(1000), rel=0.15)
    assert widths[0] > 5 * widths[1]


def test_interval_of_means_covers_the_truth_nineteen_times_in_twenty():
    generator = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        sums = np.stack([generator.normal(0.0, 1.0, 40), np.ones(40)], axis=1)
        result = estimate(metric(ratio), sums)
        covered += result.low <= 0.0 <= result.high
    assert 0.90 <= covered / 200 <= 0.99


def test_utterances_without_a_figure_do_not_spoil_the_corpus():
    voiceless = np.array([[0.0, 0.0, 0.0], [8.0, 1.0, 1.0], [9.0, 1.0, 0.0]])
    result = estimate(metric(f1), voiceless)
    assert not np.isnan([result.value, result.low, result.high]).any()


def test_no_utterance_has_no_figure():
    assert np.isnan(estimate(metric(ratio), np.zeros((0, 2))).value)


def test_a_consistent_difference_is_significant_and_none_is_not():
    generator = np.random.default_rng(0)
    first = np.stack([generator.normal(5.0, 1.0, 30), np.ones(30)], axis=1)
    better = first - [0.2, 0.0]
    found = compare_pair(metric(ratio), ("a", "b"), first, better)
    assert found.difference == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2)
    assert found.p_value < 0.001
    same = compare_pair(metric(ratio), ("a", "b"), first, first)
    assert (same.difference, same.p_value) == (0.0, 1.0)


def test_p_values_of_equal_systems_are_uniform():
    generator = np.random.default_rng(1)
    values = []
    for _ in range(200):
        pair = generator.normal(0.0, 1.0, (2, 20))
        sums = [np.stack([side, np.ones(20)], axis=1) for side in pair]
        values.append(compare_pair(metric(ratio), ("a", "b"), *sums).p_value)
    assert 0.01 <= np.mean(np.array(values) < 0.05) <= 0.10
    assert np.mean(values) == pytest.approx(0.5, abs=0.07)


def test_holm_on_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_does_not_count_what_is_not_defined():
    corrected = holm([0.5, float("nan"), 0.01])
    assert corrected[0] == 0.5 and np.isnan(corrected[1]) and corrected[2] == 0.02
