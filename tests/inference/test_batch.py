"""Synthesis of what a user points at: which way round mels lie in it, and what is said of those that lie otherwise."""

import numpy as np
import pytest
import soundfile
import torch

from evagan_plugin.config import build_config
from evagan_plugin.data.utterances import Utterance, find_utterances
from evagan_plugin.inference.batch import synthesize_all
from evagan_plugin.inference.vocoder import EVAGANVocoder
from evagan_plugin.model.generator import EVAGANGenerator

FRAMES, BANDS, HOP = 7, 80, 256


@pytest.fixture(scope="module")
def vocoder() -> EVAGANVocoder:
    generator = {"context": "none", "channels": 64, "resblock_kernels": [3], "resblock_dilations": [1]}
    config = build_config({"preset": "eva_gan_mini_16k", "generator": generator})
    return EVAGANVocoder(config, EVAGANGenerator.from_config(config))


@pytest.mark.parametrize("listed", [True, False], ids=["feats.scp", "file"])
@pytest.mark.parametrize("swapped", [False, True])
def test_mels_lie_frames_first_in_a_list_and_bands_first_in_a_file(listed, swapped, vocoder, tmp_path):
    path, scp = tmp_path / "u.npy", tmp_path / "feats.scp"
    np.save(path, np.zeros((FRAMES, BANDS) if listed != swapped else (BANDS, FRAMES), np.float32))
    scp.write_text(f"u {path}\n")
    failed = synthesize_all(vocoder, find_utterances(scp if listed else path, features=True), tmp_path / "out")
    if swapped:
        assert f"{path}: " in failed["u"]
        assert "frames and bands are swapped" in failed["u"]
        assert not (tmp_path / "out").exists()
    else:
        assert failed == {}
        assert soundfile.info(tmp_path / "out" / "u.wav").frames == FRAMES * HOP


def long_and_short(vocoder, tmp_path) -> list[Utterance]:
    """Audio at the vocoder's rate and at another, and mels; a long and a short one of each."""
    utterances = []
    for name, seconds in (("long", 41.3), ("short", 0.7)):
        for rate in (vocoder.sample_rate, 22050):
            wav = 0.1 * np.random.default_rng(rate).standard_normal(int(seconds * rate))
            soundfile.write(tmp_path / f"{name}{rate}.wav", wav, rate)
            utterances.append(Utterance(f"{name}{rate}", str(tmp_path / f"{name}{rate}.wav")))
        wav, _ = soundfile.read(tmp_path / f"{name}{vocoder.sample_rate}.wav", dtype="float32")
        mel = vocoder.mel_spectrogram(torch.from_numpy(wav).view(1, 1, -1))[0]
        np.save(tmp_path / f"{name}.npy", mel.numpy())
        utterances.append(Utterance(f"{name}mel", str(tmp_path / f"{name}.npy"), "bands_first"))
    return utterances


def test_long_utterances_are_synthesised_as_they_are_read_with_the_same_result(tmp_path, monkeypatch):
    vocoder = EVAGANVocoder.load("eva_gan_tiny_16k")
    utterances = long_and_short(vocoder, tmp_path)
    assert synthesize_all(vocoder, utterances, tmp_path / "pieces") == {}
    monkeypatch.setattr(EVAGANVocoder, "can_stream", False)
    assert synthesize_all(vocoder, utterances, tmp_path / "whole") == {}
    for utterance in utterances:
        one, other = (soundfile.read(tmp_path / kind / f"{utterance.utt_id}.wav")[0] for kind in ("pieces", "whole"))
        assert len(one) == len(other)
        assert np.abs(one - other).max() < 1.1 / 2**15, utterance.utt_id  # a step of 16 bits, where rounding tips over


def test_a_long_recording_that_breaks_off_leaves_no_file_and_what_was_there(tmp_path):
    vocoder = EVAGANVocoder.load("eva_gan_tiny_16k")
    wav = 0.1 * np.random.default_rng(0).standard_normal(70 * 16000)
    wav[-5] = np.nan
    soundfile.write(tmp_path / "a.wav", wav, 16000, subtype="FLOAT")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.wav").write_text("of before")
    failed = synthesize_all(vocoder, [Utterance("a", str(tmp_path / "a.wav"))], tmp_path / "out")
    assert "samples are NaN or infinite" in failed["a"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.wav"]
    assert (tmp_path / "out" / "a.wav").read_text() == "of before"
