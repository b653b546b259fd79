"""What native code kills costs one call: the process of a library, and PESQ in it."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest
from metric_signals import make_voice, with_noise, write_corpus

from evagan_plugin.evaluation.metrics.child import Child, ChildDied
from evagan_plugin.evaluation.scoring import score_systems

LIBRARY = """
import os, signal

def answer(what):
    if what == "print":
        print("loud", flush=True)
        os.system("echo louder")
    if what == "raise":
        raise ZeroDivisionError("by nought")
    if what == "exit":
        os._exit(3)
    if isinstance(what, int):
        os.kill(os.getpid(), what)
    return what, os.getpid()
"""
BURSTS = 70


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Child:
    (tmp_path / "brittle_library.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    return Child("brittle_library", "answer")


@pytest.mark.parametrize(
    ("how", "words"), [(11, "Segmentation fault"), (6, "Aborted"), (9, "Killed"), ("exit", "exit status 3")]
)
def test_a_death_costs_one_call(answer, how, words):
    _, first = answer("a")
    with pytest.raises(ChildDied, match=words):
        answer(how)
    assert answer("b")[0] == "b"
    assert answer("c")[1] == answer("d")[1] != first


def test_what_the_library_prints_and_raises_is_not_mixed_up(answer, capfd):
    assert answer("print")[0] == "print"
    with pytest.raises(ZeroDivisionError, match="by nought"):
        answer("raise")
    assert answer("x")[0] == "x"
    assert capfd.readouterr() == ("", "")


def test_the_process_ends_with_its_owner(answer, monkeypatch):
    _, pid = answer("x")
    child = Child(*answer._target)
    _, other = child("x")
    del child
    gc.collect()
    os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(other, 0)


def test_a_recording_of_more_utterances_than_pesq_has_room_for_costs_itself_alone(tmp_path):
    """One of 70 bursts is more than the 50 of P.862; the code would end its process."""
    voice = make_voice(0.5, sample_rate=16000)
    pause = 1e-4 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    long = np.tile(np.concatenate([voice, pause]), BURSTS)
    waves = {"a": make_voice(sample_rate=16000), "b": long, "c": make_voice(sample_rate=16000, pitch=120)}
    reference = write_corpus(tmp_path / "ref", waves, 16000)
    noisy = write_corpus(tmp_path / "sys", {key: with_noise(wav, 20) for key, wav in waves.items()}, 16000)
    scores = {score.utt_id: score for score in score_systems(reference, {"x": noisy}, "pesq_wb").utterances}
    assert scores["b"].not_scored["pesq_wb"].startswith("more than 50 utterances for P.862")
    assert all(1 < scores[key].values["pesq_wb"] < 4.7 for key in "ac")
