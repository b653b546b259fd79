"""The scoring benchmark: both sides do the same work, and the command says what each costs."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from metric_signals import SAMPLE_RATE
from typer.testing import CliRunner

from evagan_plugin.benchmark.__main__ import app
from evagan_plugin.benchmark.scoring import SYSTEM, Libraries, score_pairs
from evagan_plugin.data.systems import match
from evagan_plugin.evaluation.metrics.periodicity import Periodicity

Corpus = Callable[[int], tuple[Path, Path]]


def test_both_sides_come_to_the_same_figures(corpus: Corpus):
    reference, noisy = corpus(1)
    items, _ = match(reference, {SYSTEM: noisy})
    (score,) = score_pairs(items).utterances
    libraries = Libraries()
    values = libraries.values(items[0])
    assert score.sums["m_stft"] == pytest.approx((values["m_stft"], 1.0))
    assert score.sums["pesq_wb"] == pytest.approx((values["pesq_wb"], 1.0))
    family = Periodicity("tiny")
    family.prepare()
    for path, (pitch, _) in zip((items[0].reference, items[0].hypotheses[SYSTEM]), values["tracks"], strict=True):
        ours = family.analyse(soundfile.read(path, dtype="float32")[0], SAMPLE_RATE).pitch
        assert float(ours.median()) == pytest.approx(float(pitch.median()), rel=0.01)
    assert set(libraries.seconds) == {"reading and resampling", "auraloss", "pesq", "torchcrepe, tiny"}


@pytest.mark.slow
def test_the_command_prints_the_ratio_of_both(corpus: Corpus):
    reference, noisy = corpus(3)
    done = CliRunner().invoke(app, ["score", str(reference), str(noisy), "--utterances", "2"])
    assert done.exit_code == 0, done.output
    assert "2 utterances" in done.output
    figures = {name: float(value) for name, value in re.findall(r"^(\S.*?) +(\d+\.\d\d)$", done.output, re.MULTILINE)}
    parts = sum(figures[name] for name in ("reading and resampling", "auraloss", "pesq", "torchcrepe, tiny"))
    assert figures["sum of the libraries"] == pytest.approx(parts, abs=0.03)
    assert figures["ratio"] == pytest.approx(figures["evagan score"] / figures["sum of the libraries"], abs=0.1)


@pytest.mark.slow
def test_the_fast_set_costs_at_most_1_3_times_the_library_calls(corpus: Corpus):
    reference, noisy = corpus(100)
    done = CliRunner().invoke(app, ["score", str(reference), str(noisy)])
    assert done.exit_code == 0, done.output
    assert float(re.search(r"ratio +([\d.]+)", done.output)[1]) <= 1.3
