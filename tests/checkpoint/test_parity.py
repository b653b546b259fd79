"""Converted generators give what the published architectures give, for random weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from published import STYLES, EspnetHiFiGAN, Firefly, HiFiGAN, loud
from torch import Tensor, nn

from evagan_plugin.checkpoint.convert import open_checkpoint
from evagan_plugin.checkpoint.native import load_checkpoint, save_checkpoint
from evagan_plugin.inference.eva_gan import EVAGANVocoder

OFFICIAL = {
    "resblock": "1",
    "upsample_rates": [8, 8, 2, 2],
    "upsample_kernel_sizes": [16, 16, 4, 4],
    "upsample_initial_channel": 32,
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "num_mels": 80,
    "n_fft": 1024,
    "hop_size": 256,
    "win_size": 1024,
    "sampling_rate": 22050,
    "fmin": 0,
    "fmax": 8000,
    "fmax_for_loss": None,
}
V3 = OFFICIAL | {
    "resblock": "2",
    "upsample_rates": [8, 8, 4],
    "upsample_kernel_sizes": [16, 16, 8],
    "upsample_initial_channel": 64,
    "resblock_kernel_sizes": [3, 5, 7],
    "resblock_dilation_sizes": [[1, 2], [2, 6], [3, 12]],
}
PARAMS = {
    "in_channels": 80,
    "channels": 32,
    "kernel_size": 7,
    "upsample_scales": [5, 5, 4, 3],
    "upsample_kernel_sizes": [10, 10, 8, 6],
    "resblock_kernel_sizes": [3, 7],
    "resblock_dilations": [[1, 3], [1, 3]],
    "use_additional_convs": True,
    "bias": True,
    "nonlinear_activation": "LeakyReLU",
    "nonlinear_activation_params": {"negative_slope": 0.1},
    "use_weight_norm": True,
}
PWG = {
    "sampling_rate": 24000,
    "fft_size": 2048,
    "hop_size": 300,
    "win_length": 1200,
    "window": "hann",
    "num_mels": 80,
    "fmin": 80,
    "fmax": 7600,
    "generator_type": "HiFiGANGenerator",
    "generator_params": PARAMS,
}
FIREFLY = {"dims": [16, 24], "depths": [1, 2], "width": 32, "rates": [8, 8, 2, 2, 2], "kernels": [16, 16, 4, 4, 4]}
FIREFLY_CONFIG = {
    "preset": "firefly_gan_base_44k",
    "generator": {"context": {"dims": FIREFLY["dims"], "depths": FIREFLY["depths"]}, "channels": FIREFLY["width"]},
}


# Older checkpoints were made by the older weight_norm; here it is wanted.
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def differ(published: nn.Module, source: Path, mel: Tensor, config: Path | None = None, kind: str = "auto") -> float:
    """Return the largest difference between a published model and its conversion, through a checkpoint on the disk."""
    checkpoint = source.parent / "converted"
    save_checkpoint(checkpoint, *open_checkpoint(source, config, kind))
    _, generator = load_checkpoint(checkpoint)
    with torch.no_grad():
        wanted, got = published(mel), generator(mel)
    assert wanted.std() > 0.02  # else a difference could not show
    assert got.shape == wanted.shape == (mel.shape[0], 1, mel.shape[2] * generator.upsample_factor)
    return float((got - wanted).abs().max())


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("version", ["V2", "V3"])
def test_official_hifigan(tmp_path: Path, version: str, style: str):
    config = {"V2": OFFICIAL, "V3": V3}[version]
    published = loud(HiFiGAN(config, STYLES[style]))
    source = tmp_path / "generator"
    torch.save({"generator": published.state_dict()}, source)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert differ(published, source, torch.randn(2, 80, 11)) < 1e-5


def test_official_hifigan_v1_in_full_and_in_the_old_file_format(tmp_path: Path):
    config = OFFICIAL | {"upsample_initial_channel": 512}
    published = loud(HiFiGAN(config, STYLES["weight_g"]), gain=1.4)
    torch.save({"generator": published.state_dict()}, tmp_path / "g", _use_new_zipfile_serialization=False)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert differ(published, tmp_path / "g", torch.randn(1, 80, 6)) < 1e-5
    mel = load_checkpoint(tmp_path / "converted")[0].mel
    assert (mel.sample_rate, mel.n_fft, mel.hop_length, mel.f_max, mel.log, mel.center) == (
        22050, 1024, 256, 8000, "ln", False,
    )  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("lightning", [True, False])
def test_firefly(tmp_path: Path, style: str, lightning: bool):
    published = loud(Firefly(**FIREFLY, wrap=STYLES[style]))
    state = published.state_dict()
    if lightning:
        inner = {f"generator.{name}": value for name, value in state.items()}
        state = {"state_dict": inner | {"discriminators.mpd.conv_post.bias": torch.zeros(1)}, "epoch": 3}
    torch.save(state, tmp_path / "model.ckpt")
    config = tmp_path / "ours.yaml"
    config.write_text(yaml.safe_dump(FIREFLY_CONFIG))
    assert differ(published, tmp_path / "model.ckpt", torch.randn(2, 128, 9), config) < 1e-5


def test_firefly_base_needs_no_config(tmp_path: Path):
    full = {"dims": [128, 256, 384, 512], "depths": [3, 3, 9, 3], "width": 512}
    published = loud(Firefly(**FIREFLY | full, wrap=STYLES["weight_g"]), gain=2.2)
    torch.save(published.state_dict(), tmp_path / "firefly-gan-base-generator.ckpt")
    assert differ(published, tmp_path / "firefly-gan-base-generator.ckpt", torch.randn(1, 128, 4)) < 1e-5


def write_pwg(folder: Path, published: nn.Module, config: dict = PWG) -> tuple[Path, Tensor, Tensor]:
    """Write a ParallelWaveGAN experiment and return its pickle, mean and scale (80, 1)."""
    mean, scale = torch.randn(80, 1) - 2, torch.rand(80, 1) + 0.3
    source = folder / "checkpoint-10steps.pkl"
    models = {"generator": published.state_dict(), "discriminator": {"input_conv.0.weight": torch.zeros(2)}}
    torch.save({"model": models, "optimizer": {"generator": {}}, "steps": 10, "epochs": 1}, source)
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    return source, mean, scale


@pytest.mark.parametrize("kind", ["stats.npy", "stats.h5"])
@pytest.mark.parametrize("paired", [True, False])
def test_parallel_wavegan_with_its_statistics(tmp_path: Path, kind: str, paired: bool):
    params = PARAMS | {"use_additional_convs": paired}
    published = loud(EspnetHiFiGAN(params, STYLES["weight_g"]))
    source, mean, scale = write_pwg(tmp_path, published, PWG | {"generator_params": params})
    statistics = torch.cat([mean, scale], dim=1).T.numpy()
    if kind == "stats.npy":
        np.save(tmp_path / kind, statistics)
    else:
        with pytest.importorskip("h5py").File(tmp_path / kind, "w") as file:
            file["mean"], file["scale"] = statistics

    class Whole(nn.Module):
        def forward(self, mel: Tensor) -> Tensor:
            return published((mel - mean) / scale)

    # Equal at both ends too, where zero padding stands for the mean.
    assert differ(Whole(), source, torch.randn(2, 80, 11) - 2) < 1e-5


@pytest.mark.parametrize("speaker", [0, 6])
def test_coqui(tmp_path: Path, speaker: int):
    published = loud(HiFiGAN(V3, STYLES["parametrizations"], speaker))
    state = {f"model_g.{name}": value for name, value in published.state_dict().items()}
    torch.save({"model": state | {"model_d.mpd.0.conv_post.bias": torch.zeros(1)}, "step": 3}, tmp_path / "best.pth")
    (tmp_path / "config.json").write_text(json.dumps(coqui_config(speaker)))
    config, generator = open_checkpoint(tmp_path / "best.pth")
    if speaker:
        mel, condition = torch.randn(2, 80, 5), torch.randn(2, speaker, 1)
        with torch.no_grad():
            assert torch.allclose(published(mel, condition), generator(mel, condition), atol=1e-5)
    else:
        assert differ(published, tmp_path / "best.pth", torch.randn(2, 80, 11)) < 1e-5
    assert config.mel.center and config.mel.floor == 1e-8


@pytest.mark.parametrize("audio", [{}, {"symmetric_norm": False, "clip_norm": False}])
def test_coqui_with_mels_normalised_to_a_range(tmp_path: Path, audio: dict):
    published = loud(HiFiGAN(V3, STYLES["parametrizations"]))
    torch.save({"model": published.state_dict()}, tmp_path / "best.pth")
    audio |= {"signal_norm": True, "log_func": "np.log10", "spec_gain": 20}
    (tmp_path / "config.json").write_text(json.dumps(coqui_config(**audio)))
    decibels = -80 * torch.rand(1, 80, 11)

    class Whole(nn.Module):
        def forward(self, mel: Tensor) -> Tensor:
            share = (mel - 20 + 100) / 100  # ref_level_db, min_level_db
            return published(8 * share - 4 if audio.get("symmetric_norm", True) else 4 * share)

    assert differ(Whole(), tmp_path / "best.pth", decibels) < 1e-5
    mel = load_checkpoint(tmp_path / "converted")[0].mel
    assert mel.floor == pytest.approx(1e-4 if audio.get("clip_norm", True) else 1e-8)  # -80 dB
    assert mel.ceiling == (10.0 if audio.get("clip_norm", True) else None)  # 20 dB


def coqui_config(speaker: int = 0, **audio: object) -> dict:
    """Return a config of Coqui TTS for the generator of V3."""
    params = {
        "upsample_factors": V3["upsample_rates"],
        "upsample_kernel_sizes": V3["upsample_kernel_sizes"],
        "upsample_initial_channel": V3["upsample_initial_channel"],
        "resblock_kernel_sizes": V3["resblock_kernel_sizes"],
        "resblock_dilation_sizes": V3["resblock_dilation_sizes"],
        "resblock_type": "2",
        "cond_channels": speaker,
    }
    section = {
        "sample_rate": 22050, "fft_size": 1024, "hop_length": 256, "win_length": 1024, "num_mels": 80,
        "mel_fmin": 0.0, "mel_fmax": 8000.0, "spec_gain": 1.0, "log_func": "np.log", "signal_norm": False,
        "do_amp_to_db_mel": True, "preemphasis": 0.0, "stft_pad_mode": "reflect",
    }  # fmt: skip
    return {
        "model": "hifigan",
        "generator_model": "hifigan_generator",
        "generator_model_params": params,
        "audio": section | audio,
    }


def voice(sample_rate: int) -> Tensor:
    """Return half a second of a decaying chord and a little noise (1, 1, T)."""
    time = torch.arange(sample_rate // 2) / sample_rate
    chord = sum(torch.sin(2 * torch.pi * pitch * time) for pitch in (140.0, 420.0, 1800.0, 5200.0)) / 8
    return (chord * torch.exp(-3 * time) + 0.001 * torch.randn_like(time)).view(1, 1, -1)


def librosa_mel(wav: Tensor, config: dict[str, float], floor: float) -> np.ndarray:
    """Return librosa's centred Slaney mel magnitudes, clamped (bands, frames)."""
    librosa = pytest.importorskip("librosa")
    sizes = {name: config[name] for name in ("n_fft", "hop_length", "win_length")}
    magnitude = np.abs(librosa.stft(wav.numpy().ravel(), pad_mode="reflect", **sizes))
    basis = librosa.filters.mel(
        sr=config["sr"], n_fft=config["n_fft"], n_mels=80, fmin=config["fmin"], fmax=config["fmax"]
    )
    return np.maximum(basis @ magnitude, floor)


def test_the_mel_of_parallel_wavegan_is_librosas_in_log10(tmp_path: Path):
    source, mean, scale = write_pwg(tmp_path, EspnetHiFiGAN(PARAMS, STYLES["folded"]))
    np.save(tmp_path / "stats.npy", torch.cat([mean, scale], dim=1).T.numpy())
    vocoder = EVAGANVocoder(*open_checkpoint(source))
    wav = voice(24000)
    sizes = {"sr": 24000, "n_fft": 2048, "hop_length": 300, "win_length": 1200, "fmin": 80, "fmax": 7600}
    wanted = np.log10(librosa_mel(wav, sizes, 1e-10))
    assert np.abs(vocoder.mel_spectrogram(wav)[0].numpy() - wanted).max() < 2e-3


@pytest.mark.parametrize("audio", [{}, {"spec_gain": 20.0, "log_func": "np.log10", "preemphasis": 0.97}])
def test_the_mel_of_coqui_is_its_audio_processors(tmp_path: Path, audio: dict):
    torch.save({"model": HiFiGAN(V3, STYLES["folded"]).state_dict()}, tmp_path / "model.pth")
    (tmp_path / "config.json").write_text(json.dumps(coqui_config(**audio)))
    vocoder = EVAGANVocoder(*open_checkpoint(tmp_path / "model.pth"))
    wav = voice(22050)
    emphasis = audio.get("preemphasis", 0.0)
    emphasised = torch.cat([wav[..., :1], wav[..., 1:] - emphasis * wav[..., :-1]], dim=-1)
    sizes = {"sr": 22050, "n_fft": 1024, "hop_length": 256, "win_length": 1024, "fmin": 0, "fmax": 8000}
    log = np.log10 if audio else np.log
    wanted = audio.get("spec_gain", 1.0) * log(librosa_mel(emphasised, sizes, 1e-8))
    assert np.abs(vocoder.mel_spectrogram(wav)[0].numpy() - wanted).max() < 5e-3 * audio.get("spec_gain", 1.0)
