"""What native code cannot do is known before, and what kills it costs one utterance."""

import numpy as np
import pytest

pytest.importorskip("pesq")

from evagan_plugin.evaluation.metrics import cepstrum, pesq_guard
from evagan_plugin.evaluation.metrics.base import NotScored
from evagan_plugin.evaluation.metrics.child import Child
from evagan_plugin.evaluation.metrics.pesq import PESQ


def bursts(number: int, seconds: float = 0.5, pause: float = 0.5) -> np.ndarray:
    """So many stretches of a tone with pauses between them (16 kHz)."""
    time = np.arange(int(16000 * seconds)) / 16000
    one = 0.3 * np.sin(2 * np.pi * 200 * time) * np.hanning(len(time))
    whole = np.tile(np.concatenate([one, np.zeros(int(16000 * pause))]), number)
    return (whole + 1e-4 * np.random.default_rng(0).standard_normal(whole.size)).astype(np.float32)


@pytest.mark.parametrize(
    ("wav", "number"),
    [(bursts(3), 3), (bursts(50), 50), (bursts(51), 51), (bursts(60, 0.4, 0.3), 60), (bursts(60, pause=0.1), 1)],
    ids=["3", "50", "51", "60 short ones", "60 joined"],
)
def test_utterances_are_counted_as_p862_does(wav, number):
    assert pesq_guard.utterances(wav, 0.5 * wav) == number


@pytest.mark.parametrize("number", [50, 51, 55])
def test_over_fifty_are_not_scored_and_fifty_are(number):
    family = PESQ()
    family.prepare()
    one, other = (family.analyse(wav, 16000) for wav in (bursts(number), 0.9 * bursts(number)))
    if number > 50:
        with pytest.raises(NotScored, match=r"^more than 50 utterances for P\.862$"):
            family.compare(one, other)
    else:
        assert 1 < family.compare(one, other)["pesq_wb"][0] < 4.7


def test_a_build_that_does_not_tell_scores_what_is_short(monkeypatch):
    monkeypatch.setattr(pesq_guard.ctypes, "CDLL", lambda path: object())
    short, long = bursts(9), bursts(11)
    assert pesq_guard.guarded_pesq(16000, short, 0.9 * short, "wb") > 1
    with pytest.raises(OverflowError, match="over 10 s: whether it has more than 50 utterances"):
        pesq_guard.guarded_pesq(16000, long, 0.9 * long, "wb")


@pytest.mark.parametrize("family", [cepstrum.WorldCepstrum(), cepstrum.GeneralisedCepstrum()])
def test_a_cepstrum_whose_library_dies_is_not_scored(family, tmp_path, monkeypatch):
    family.prepare()
    wav = bursts(1)
    before = family.analyse(wav, 16000)
    assert np.isfinite(before).all() and len(before) > 10
    (tmp_path / "dying_library.py").write_text("import os\ndef analyse(*_):\n    os.abort()\n")
    monkeypatch.syspath_prepend(tmp_path)
    family._analyse = Child("dying_library", "analyse")
    with pytest.raises(NotScored, match=r"^its library ends the process \(Aborted\)$"):
        family.analyse(wav, 16000)
