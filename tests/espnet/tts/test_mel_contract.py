"""The mel contract between an acoustic model of ESPnet and a vocoder: what is converted, and what is refused how."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank
from espnet2.tts.feats_extract.log_spectrogram import LogSpectrogram
from tiny_models import FEATURES, HOP, TINY, vocoder_of

from evagan_plugin import EVAGANVocoder
from evagan_plugin.audio.mel import MelSpectrogram
from evagan_plugin.checkpoint import files
from evagan_plugin.checkpoint.native import save_checkpoint
from evagan_plugin.config import DiscriminatorsConfig, build_config, config_to_dict
from evagan_plugin.errors import ConfigError, EvaganError, UsageError
from evagan_plugin.espnet.export import espnet_init_param
from evagan_plugin.espnet.tts.generated_mels import align, check_features, convert_features
from evagan_plugin.espnet.tts.vocoder import load_vocoder, mel_of
from evagan_plugin.model.generator import EVAGANGenerator

TINY_CONFIG = TINY["vocoder_conf"]


@pytest.mark.parametrize("log_base", [10.0, None, 2.0])
def test_the_mel_of_an_extractor_is_what_the_extractor_computes(log_base):
    extractor = LogMelFbank(**{**FEATURES, "log_base": log_base})
    wav = 0.1 * torch.randn(1, 8000)
    theirs = extractor(wav, torch.tensor([8000]))[0]
    ours = MelSpectrogram(mel_of(extractor))(wav.unsqueeze(1)).transpose(1, 2)
    assert torch.allclose(theirs, ours, atol=1e-4)


def test_features_become_the_vocoders_mel(tiny_vocoder):
    vocoder = load_vocoder(tiny_vocoder, feats_extract=LogMelFbank(**FEATURES))
    wav = 0.1 * torch.randn(1, 8000)
    feats = LogMelFbank(**FEATURES)(wav, torch.tensor([8000]))[0][0]
    expected = vocoder.vocoder.mel_spectrogram(wav.unsqueeze(1))[0]
    assert torch.allclose(vocoder.conversion(feats.t()), expected, atol=0.01)


def test_a_mismatch_lists_every_field_with_both_values_and_what_to_do(tmp_path):
    directory = vocoder_of(tmp_path, center=False, f_min=0, f_max=8000)
    with pytest.raises(ConfigError) as caught:
        load_vocoder(directory, feats_extract=LogMelFbank(**FEATURES))
    message = str(caught.value)
    for part in ("f_min is 80", "and 0.0 here", "f_max is 7600", "and 8000.0 here", "center is True there"):
        assert part in message
    assert "preset: eva_gan_mini_16k" in message
    for fs, remedy in (
        (22050, "preset: eva_gan_tiny_22k"),
        (24000, "vocoder_conf.mel: {sample_rate: 24000, center: true}"),
    ):
        rate = LogMelFbank(**{**FEATURES, "fs": fs, "fmin": 0, "fmax": 8000})
        with pytest.raises(ConfigError, match=f"sample_rate is {fs} there and 16000 here") as caught:
            load_vocoder(directory, feats_extract=rate)
        assert remedy in str(caught.value)
    hop = LogMelFbank(**{**FEATURES, "hop_length": 200, "n_mels": 64})
    with pytest.raises(
        ConfigError, match=r"hop_length is 200 there and 256 here; n_mels is 64 .* and 80 here"
    ) as caught:
        load_vocoder(directory, feats_extract=hop)
    assert "generator of hop 200: the product of upsample_rates, times head.istft.hop_length" in str(caught.value)


HOP_128 = {
    "waveform": {"upsample_rates": [8, 16]},
    "istft": {"upsample_rates": [4], "head": {"istft": {"n_fft": 128, "hop_length": 32}}},
}


@pytest.mark.parametrize("head", HOP_128)
def test_what_the_remedy_says_makes_a_vocoder_that_fits(head, tmp_path):
    """The options that an error names, put into a config, are accepted."""
    extractor = LogMelFbank(**{**FEATURES, "hop_length": 128, "fmax": 7000})
    with pytest.raises(ConfigError) as caught:
        load_vocoder(vocoder_of(tmp_path / "other"), feats_extract=extractor)
    remedy = str(caught.value).partition("vocoder_conf.mel: ")[2]
    mel, _, hop = remedy.partition(" and vocoder_conf.generator of hop ")
    assert hop == "128: the product of upsample_rates, times head.istft.hop_length with an iSTFT head"
    config = build_config(
        {
            **TINY_CONFIG,
            "mel": yaml.safe_load(mel),
            "generator": {**TINY_CONFIG["generator"], **HOP_128[head]},
        }
    )
    save_checkpoint(tmp_path / "fits", config, EVAGANGenerator.from_config(config))
    assert load_vocoder(tmp_path / "fits", feats_extract=extractor)(torch.zeros(5, 80)).shape == (5 * 128,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"feats_extract": "linear_spectrogram"}, "feats_extract is linear_spectrogram, not fbank"),
        ({"feats_extract_conf": {"fmim": 80}}, "feats_extract_conf: .*fmim"),
        ({"feats_extract_conf": {**FEATURES, "fmin": 0}}, "f_min is 0.* there and 80.* here"),
    ],
)
@pytest.mark.parametrize("kind", ["checkpoint", "training config"])
def test_features_are_compared_before_anything_is_trained(kind, change, message, tiny_vocoder, tmp_path):
    acoustic, vocoder = tmp_path / "acoustic.yaml", tmp_path / "vocoder.yaml"
    acoustic.write_text(yaml.safe_dump({"tts": "tacotron2", "feats_extract_conf": FEATURES} | change))
    vocoder.write_text(yaml.safe_dump(TINY))
    target = tiny_vocoder if kind == "checkpoint" else vocoder
    if message is None:
        check_features(acoustic, target)
    else:
        with pytest.raises(ConfigError, match=message):
            check_features(acoustic, target)


def test_other_features_than_mels_are_refused(tiny_vocoder):
    with pytest.raises(ConfigError, match="LogSpectrogram, not log-mels"):
        load_vocoder(tiny_vocoder, feats_extract=LogSpectrogram(n_fft=1024, hop_length=HOP))
    with pytest.raises(ConfigError, match="window blackman"):
        load_vocoder(tiny_vocoder, feats_extract=LogMelFbank(**{**FEATURES, "window": "blackman"}))


def test_a_config_that_is_no_vocoders_is_refused(acoustic_model, tiny_vocoder):
    with pytest.raises(ConfigError, match="has no 'vocoder:'"):
        load_vocoder(tiny_vocoder, acoustic_model / "config.yaml")
    with pytest.raises(UsageError, match="there is no checkpoint"):
        load_vocoder(acoustic_model / "nothing.pth", tiny_vocoder / "config.yaml")


def test_a_checkpoint_of_another_config_is_refused(tiny_vocoder, tmp_path):
    settings = config_to_dict(build_config(TINY_CONFIG))
    settings["generator"]["channels"] = 128
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(EvaganError, match="does not fit the config"):
        load_vocoder(tiny_vocoder / "model.safetensors", tmp_path / "config.yaml")


def test_a_truncated_checkpoint_is_refused(trained_vocoder, tmp_path):
    half = tmp_path / "half.pth"
    half.write_bytes(trained_vocoder.read_bytes()[:5000])
    with pytest.raises(EvaganError, match=r"half\.pth: damaged or truncated"):
        load_vocoder(half, trained_vocoder.with_name("config.yaml"))


def test_features_of_another_shape_are_refused(tiny_vocoder):
    vocoder = load_vocoder(tiny_vocoder)
    with pytest.raises(UsageError, match=r"\(80, 7\), not \(frames, 80\): frames and bands are swapped"):
        vocoder(torch.zeros(80, 7))


@pytest.fixture
def generated(acoustic_model, spoken, tmp_path) -> Path:
    """Features of the validation utterances as the acoustic model's extractor makes them: ``feats.scp``."""
    lines = []
    for line in (spoken / "valid" / "wav.scp").read_text().splitlines():
        utterance, path = line.split()
        wav = torch.from_numpy(soundfile.read(path, dtype="float32")[0])[None]
        feats = LogMelFbank(**FEATURES)(wav, torch.tensor([wav.shape[1]]))[0][0]
        np.save(tmp_path / f"{utterance}.npy", feats.numpy())
        lines.append(f"{utterance} {tmp_path / utterance}.npy\n")
    (tmp_path / "feats.scp").write_text("".join(lines))
    return tmp_path


def test_features_are_converted_and_aligned_for_fine_tuning(
    generated, acoustic_model, tiny_vocoder, spoken, tmp_path, train
):
    out = tmp_path / "mels"
    config, scp, wavs = acoustic_model / "config.yaml", generated / "feats.scp", spoken / "valid" / "wav.scp"
    assert convert_features(config, tiny_vocoder / "model.safetensors", scp, wavs, out) == 2
    for line in (out / "feats.scp").read_text().splitlines():
        utterance, path = line.split()
        mel, (wav, _) = np.load(path), soundfile.read(spoken / "valid" / f"{utterance}.wav", dtype="float32")
        assert mel.shape == (-(-len(wav) // HOP), 80)
        truth = EVAGANVocoder.load(tiny_vocoder).mel_spectrogram(torch.from_numpy(wav)[None, None])[0].t().numpy()
        shared = min(len(mel), len(truth))
        assert np.abs(mel[:shared] - truth[:shared]).max() < 0.02
    tuned = train(tmp_path / "tuned", {"num_iters_per_epoch": 1}, train=out, feats=False)
    assert (tuned / "checkpoint.pth").is_file()


def test_features_that_do_not_belong_to_the_recordings_are_refused(generated, acoustic_model, tiny_vocoder, spoken):
    config, scp, wavs = acoustic_model / "config.yaml", generated / "feats.scp", spoken / "valid" / "wav.scp"
    utterance, path = scp.read_text().split()[:2]
    mel = np.load(path)
    for broken, message in (
        (mel.T, rf"{path}: features of shape .*swapped"),
        (mel[:-20], f"'{utterance}' has .*teacher forcing"),
        (np.full_like(mel, np.nan), rf"{path}: .*not finite"),
    ):
        np.save(path, broken)
        with pytest.raises(EvaganError, match=message):
            convert_features(config, tiny_vocoder / "model.safetensors", scp, wavs, generated / "out")
    assert not (generated / "out" / "feats.scp").exists()


def test_alignment_cuts_and_repeats_the_last_frame():
    mel = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert np.array_equal(align(mel, 2), mel[:2])
    assert np.array_equal(align(mel, 5), mel[[0, 1, 2, 2, 2]])


def test_a_model_that_comes_with_the_package_is_taken_by_name(tmp_path, monkeypatch):
    vocoder_of(tmp_path / "shelf" / "small")
    monkeypatch.setattr(files, "PRETRAINED", tmp_path / "shelf")
    assert load_vocoder("small", feats_extract=LogMelFbank(**FEATURES)).fs == 16000
    with pytest.raises(UsageError, match="no pretrained model of that name: did you mean 'small'"):
        load_vocoder("smal")
    started = espnet_init_param("small:gan.generator:gan.generator", tmp_path / "init", DiscriminatorsConfig())
    assert started == f"{tmp_path}/init/model.pth:gan.generator:gan.generator"
    assert all(name.startswith("gan.generator.") for name in torch.load(tmp_path / "init" / "model.pth"))
    assert espnet_init_param("nowhere.pth:a:b", tmp_path, DiscriminatorsConfig()) == "nowhere.pth:a:b"
    with pytest.raises(UsageError, match=r"^--init_param: there is no checkpoint smal, .* did you mean 'small'"):
        espnet_init_param("smal", tmp_path / "init", DiscriminatorsConfig())
