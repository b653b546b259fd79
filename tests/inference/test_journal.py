"""A synthesis in parts: nothing is made twice, what changes is made again, and the files are those of one call."""

import os

import numpy as np
import pytest
import soundfile

from evagan_plugin.data.utterances import find_utterances
from evagan_plugin.inference.eva_gan import EVAGANVocoder
from evagan_plugin.inference.journal import FILE, model_state, synthesize_unfinished
from evagan_plugin.utils.parts import Part, in_part

MODEL = "eva_gan_tiny_16k"


@pytest.fixture
def source(tmp_path):
    (tmp_path / "audio").mkdir()
    for number, name in enumerate("abc"):
        wav = 0.1 * np.random.default_rng(number).standard_normal(4000)
        soundfile.write(tmp_path / "audio" / f"{name}.wav", wav, 16000)
    return tmp_path / "audio"


@pytest.fixture
def synth(source):
    """Return a function that synthesises into a directory and says how many utterances it had to open the model for."""

    def call(out, part=None, **how):
        opened = []

        def open_vocoder():
            opened.append(MODEL)
            return EVAGANVocoder.load(MODEL)

        utterances = in_part(part, find_utterances(source, features=True), lambda utterance: utterance.utt_id)
        how = {"model": model_state(MODEL, None), "chunk_frames": None} | how
        before = {path: path.stat().st_mtime_ns for path in out.glob("*.wav")}
        failed = synthesize_unfinished(open_vocoder, utterances, out, how, part)
        made = {path.stem for path in out.glob("*.wav") if before.get(path) != path.stat().st_mtime_ns}
        assert bool(opened) == bool(made or failed)
        return made, failed

    return call


def wavs(out):
    return {path.name: path.read_bytes() for path in out.glob("*.wav")}


def test_parts_and_the_call_that_joins_them_give_the_files_of_one_call(synth, tmp_path):
    one, parts = tmp_path / "one", tmp_path / "parts"
    assert synth(one) == ({"a", "b", "c"}, {})
    assert synth(parts, Part(2, 2)) == ({"b"}, {})
    assert synth(parts, Part(1, 2)) == ({"a", "c"}, {})
    assert synth(parts, Part(1, 2)) == (set(), {})
    assert not (parts / "wav.scp").exists()
    for _ in range(2):
        assert synth(parts) == (set(), {})
        assert wavs(parts) == wavs(one)
        assert (parts / "wav.scp").read_text() == (one / "wav.scp").read_text().replace("/one/", "/parts/")
        assert {path.name for path in parts.iterdir() if path.suffix != ".wav"} == {"wav.scp", FILE}
    assert synth(one) == ({"a", "b", "c"}, {}), "a call that no part came before does as it is told"


def test_parts_of_another_division_take_up_what_is_made_and_leave_it_to_the_others(synth, tmp_path):
    for number in (1, 2):
        synth(tmp_path / "out", Part(number, 2))
    assert [synth(tmp_path / "out", Part(number, 3)) for number in (1, 2, 3)] == [(set(), {})] * 3


def test_what_has_changed_is_made_again_and_what_failed_is_tried_again(synth, source, tmp_path):
    out = tmp_path / "out"
    (source / "b.wav").write_bytes(b"RIFF")
    made, failed = synth(out, Part(1, 1))
    assert (made, list(failed)) == ({"a", "c"}, ["b"])
    (source / "b.wav").write_bytes((source / "a.wav").read_bytes())
    assert synth(out, Part(1, 1)) == ({"b"}, {})
    os.utime(source / "a.wav", (1, 1))
    (out / "c.wav").unlink()
    assert synth(out) == ({"a", "c"}, {})
    assert synth(out, dtype="bfloat16")[0] == {"a", "b", "c"}
