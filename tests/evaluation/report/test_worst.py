"""Which utterances are called worst, and what of them is kept."""

import numpy as np
import pytest
from metric_signals import SAMPLE_RATE, make_voice, with_noise, write_corpus

from evagan_plugin.evaluation.metrics.catalogue import select_metrics
from evagan_plugin.evaluation.report.compare import CompareOptions, compare_systems
from evagan_plugin.evaluation.report.worst import COUNT, LONGEST_SECONDS, choose_ranking, worst_utterances


def test_the_default_is_m_stft_of_the_first_system_or_the_first_metric():
    fast = choose_ranking(select_metrics("fast"), ["a", "b"])
    assert (fast.metric.name, fast.system) == ("m_stft", "a")
    other = choose_ranking(select_metrics("pesq_wb,log_mel_l1"), ["a", "b"], of="b")
    assert (other.metric.name, other.system) == ("pesq_wb", "b")


@pytest.mark.parametrize("metric", ["m_stft", "pesq_wb"])
def test_the_worst_stands_first_whichever_way_the_metric_goes(tmp_path, metric):
    decibels = {"good": 40, "middle": 20, "bad": 5}
    voice = make_voice(0.6)
    reference = write_corpus(tmp_path / "ref", dict.fromkeys(decibels, voice))
    system = write_corpus(tmp_path / "hyp", {key: with_noise(voice, level) for key, level in decibels.items()})
    comparison = compare_systems(reference, {"hyp": system}, tmp_path / "out", CompareOptions(metrics=metric))
    worst = worst_utterances(comparison.scores, comparison.items, comparison.ranking)
    assert [utterance.utt_id for utterance in worst] == ["bad", "middle", "good"]


def test_number_and_length_are_bounded_and_samples_are_those_of_the_files(tmp_path):
    voice = make_voice(0.2)
    long = np.tile(voice, 60)
    waves = {f"utt{index:02d}": voice for index in range(COUNT)} | {"long": long, "more": voice}
    reference = write_corpus(tmp_path / "ref", waves)
    noisy = {key: with_noise(wav, 0 if key == "long" else 20) for key, wav in waves.items()}
    noisy["long"] = noisy["long"][:-5]
    system = write_corpus(tmp_path / "hyp", noisy)
    comparison = compare_systems(reference, {"hyp": system}, tmp_path / "out", CompareOptions(metrics="log_mel_l1"))
    first, *others = worst_utterances(comparison.scores, comparison.items, comparison.ranking)
    assert first.utt_id == "long"
    assert len(others) == COUNT - 1
    length = int(LONGEST_SECONDS * SAMPLE_RATE)
    assert first.whole_seconds == pytest.approx((long.size - 5) / SAMPLE_RATE)
    assert np.array_equal(first.waves["reference"], long[:length])
    assert np.array_equal(first.waves["hyp"], noisy["long"][:length])
