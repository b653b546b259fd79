"""Synthesis of what a user points at: which way round mels lie in it, and what is said of those that lie otherwise."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from exports import small_model

from evagan_plugin.checkpoint.native import save_checkpoint
from evagan_plugin.config import build_config
from evagan_plugin.data.utterances import Utterance, find_utterances
from evagan_plugin.errors import UsageError
from evagan_plugin.inference.batch import synthesize_all
from evagan_plugin.inference.eva_gan import EVAGANVocoder
from evagan_plugin.inference.vocoder import Vocoder
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


HEADS = {
    "waveform": {},
    "waveform, normalised": {"normalize": True},
    "istft": {"upsample_rates": [], "head": {"istft": {"n_fft": 64, "hop_length": 8}}},
    "istft, centred, normalised": {
        "normalize": True,
        "upsample_rates": [],
        "head": {"istft": {"n_fft": 64, "hop_length": 8, "center": True}},
    },
}


def small_vocoder(**generator) -> EVAGANVocoder:
    return EVAGANVocoder(*small_model(**generator))


def counted(vocoder: Vocoder) -> list[int]:
    """Return a list that grows by the items of each batch that the generator computes."""
    sizes = []
    vocoder.generator.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    return sizes


@pytest.mark.parametrize("head", HEADS)
def test_a_batch_of_mels_sounds_as_each_alone(head):
    vocoder = small_vocoder(**HEADS[head])
    mels = [torch.randn(10, frames) * 2.5 - 5.0 for frames in (31, 1, 60, 2, 31, 44, 60)]
    alone = [vocoder.synthesize(mel) for mel in mels]
    sizes = counted(vocoder)
    for batch_size in (1, 3, 100):
        together = vocoder.synthesize_batch(mels, batch_size)
        for one, other in zip(together, alone, strict=True):
            assert one.shape == other.shape and torch.allclose(one, other, atol=1e-5)
            one *= 0.5  # an ordinary tensor
    assert sizes == [1] * 7 + [3, 3, 1] + [7]
    assert vocoder.synthesize_batch([]) == []


def test_a_faulty_mel_of_a_batch_is_named():
    vocoder = small_vocoder()
    good = torch.zeros(10, 5)
    for bad, said in (
        (good.T, "frames and bands are swapped"),
        (good / 0, "not finite"),
        (good[None], "mel 1 has 3 dim"),
    ):
        with pytest.raises(UsageError, match=said):
            vocoder.synthesize_batch([good, bad])
    with pytest.raises(UsageError, match="batch size 0: 1 at least"):
        vocoder.synthesize_batch([good], 0)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_files_in_batches_are_those_of_one_at_a_time(head, center, tmp_path):
    config, _ = small_model(**HEADS[head])
    config = replace(config, mel=replace(config.mel, center=center))
    vocoder = EVAGANVocoder(config, EVAGANGenerator.from_config(config))
    draw = np.random.default_rng(0)
    utterances = [Utterance("gone", str(tmp_path / "gone.wav"))]
    for index, samples in enumerate((2003, 9, 800, 1111, 2003, 5, 64)):
        soundfile.write(tmp_path / f"{index}.wav", 0.1 * draw.standard_normal(samples), 8000)
        utterances.append(Utterance(f"a{index}", str(tmp_path / f"{index}.wav")))
    for index, frames in enumerate((70, 1, 31)):
        np.save(tmp_path / f"{index}.npy", draw.standard_normal((10, frames)).astype(np.float32) - 5)
        utterances.append(Utterance(f"m{index}", str(tmp_path / f"{index}.npy"), "bands_first"))
    (tmp_path / "no.wav").write_text("no audio")
    utterances.append(Utterance("broken", str(tmp_path / "no.wav")))
    alone = synthesize_all(vocoder, utterances, tmp_path / "alone")
    sizes = counted(vocoder)
    together = synthesize_all(vocoder, utterances, tmp_path / "together", batch_size=4)
    assert sizes == [4, 4, 2]
    assert together == alone and list(together) == ["gone", "broken"]
    tables = [(tmp_path / name / "wav.scp").read_text() for name in ("alone", "together")]
    assert tables[0].replace("alone", "together") == tables[1]
    for utterance in utterances:
        if utterance.utt_id not in alone:
            one, other = (
                soundfile.read(tmp_path / name / f"{utterance.utt_id}.wav", dtype="int16")[0].astype(int)
                for name in ("alone", "together")
            )
            assert len(one) == len(other) and np.abs(one - other).max() <= 1 and np.abs(one).max() > 3


def test_long_utterances_go_alone_and_are_streamed_also_with_batches(tmp_path):
    vocoder = EVAGANVocoder.load("eva_gan_tiny_16k")
    utterances = long_and_short(vocoder, tmp_path)
    assert synthesize_all(vocoder, utterances, tmp_path / "alone") == {}
    sizes = counted(vocoder)
    assert synthesize_all(vocoder, utterances, tmp_path / "together", batch_size=8) == {}
    assert sizes == [3]  # three of 0.7 s; what streams does not call the generator as a whole
    for utterance in utterances:
        one, other = (soundfile.read(tmp_path / kind / f"{utterance.utt_id}.wav")[0] for kind in ("alone", "together"))
        assert len(one) == len(other)
        assert np.abs(one - other).max() < 1.1 / 2**15, utterance.utt_id


def test_a_batch_that_does_not_fit_into_memory_is_synthesised_one_by_one(tmp_path):
    vocoder = small_vocoder()
    for index, frames in enumerate((30, 20, 10)):
        np.save(tmp_path / f"{index}.npy", np.full((10, frames), -5, np.float32))
    utterances = [Utterance(str(index), str(tmp_path / f"{index}.npy"), "bands_first") for index in range(3)]

    def no_memory(_, inputs) -> None:
        if inputs[0].numel() > 250:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    vocoder.generator.register_forward_pre_hook(no_memory)
    failed = synthesize_all(vocoder, utterances, tmp_path / "out", batch_size=3)
    assert list(failed) == ["0"] and "out of memory" in failed["0"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"1.wav", "2.wav", "wav.scp"}


def test_other_engines_take_utterances_of_one_length_together(tmp_path):
    pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
    save_checkpoint(tmp_path / "voc", *small_model())
    mels = [torch.randn(10, frames) * 2.5 - 5.0 for frames in (31, 20, 31, 44, 20, 31)]
    wanted = EVAGANVocoder.load(tmp_path / "voc").synthesize_batch(mels, 4)
    vocoder = EVAGANVocoder.load(tmp_path / "voc", engine="onnxruntime", threads=1)
    sizes = counted(vocoder)
    for one, other in zip(vocoder.synthesize_batch(mels, 4), wanted, strict=True):
        assert one.shape == other.shape and torch.allclose(one, other, atol=1e-5)
    assert sizes == [1, 3, 2]


def test_the_command_takes_a_batch_size(evagan, tmp_path):
    save_checkpoint(tmp_path / "voc", *small_model())
    (tmp_path / "mels").mkdir()
    for index, frames in enumerate((30, 20, 10)):
        np.save(tmp_path / "mels" / f"{index}.npy", np.random.default_rng(index).normal(-5, 2, (10, frames)))
    np.save(tmp_path / "mels" / "bad.npy", np.full((10, 5), np.nan))
    for name, options in {"alone": (), "together": ("--batch_size", 2)}.items():
        status, out, errors = evagan("synth", tmp_path / "voc", tmp_path / "mels", tmp_path / name, *options)
        assert (status, out) == (1, f"3 of 4 utterances written to {tmp_path / name}\n")
        assert "1 of 4 utterances failed: bad: " in errors and errors.startswith("synth: 4 done in ")
    for index in range(3):
        one, other = (soundfile.read(tmp_path / name / f"{index}.wav")[0] for name in ("alone", "together"))
        assert np.abs(one - other).max() < 1.1 / 2**15
    for options in ((tmp_path / "mels", tmp_path / "out", "--chunk_frames", 3), ("-", "-")):
        status, out, errors = evagan("synth", tmp_path / "voc", *options, "--batch_size", 2)
        assert (status, out) == (2, "") and "--batch_size is for whole utterances" in errors
    assert evagan("synth", tmp_path / "voc", tmp_path / "mels", tmp_path / "out", "--batch_size", 0)[0] == 2
    assert not (tmp_path / "out").exists()
