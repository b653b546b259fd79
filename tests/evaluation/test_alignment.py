"""Delay and polarity are found, and only where they are clear."""

import numpy as np
import pytest
from metric_signals import SAMPLE_RATE, make_voice

from evagan_plugin.evaluation.alignment import align


@pytest.mark.parametrize("delay", [-500, -30, 0, 1, 220])
def test_delay_is_found_to_the_sample(delay):
    wav = make_voice()
    late = np.roll(np.pad(wav, 1000), delay)
    assert align(np.pad(wav, 1000), late, SAMPLE_RATE).delay == delay


def test_ten_milliseconds_are_noted():
    wav = make_voice()
    note = align(wav, np.concatenate([np.zeros(220, np.float32), wav[:-220]]), SAMPLE_RATE).note(SAMPLE_RATE)
    assert note == "late by 220 samples (10.0 ms)"


def test_inverted_polarity_is_noted():
    wav = make_voice()
    assert align(wav, -wav, SAMPLE_RATE).note(SAMPLE_RATE) == "polarity inverted"


def test_other_waveforms_are_not_called_delayed():
    noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE)
    assert align(make_voice(1.0), noise, SAMPLE_RATE).note(SAMPLE_RATE) is None


def test_silence_and_single_samples_do_not_fail():
    assert align(make_voice(0.5), np.zeros(11025), SAMPLE_RATE).delay == 0
    assert align(np.ones(1), np.ones(1), SAMPLE_RATE).delay == 0
