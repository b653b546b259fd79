"""Mels of another make: they are known by their range, once in a run, and our own never are."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from evagan_plugin.audio.likelihood import unlikely_mel
from evagan_plugin.audio.mel import MelSpectrogram
from evagan_plugin.checkpoint.native import save_checkpoint
from evagan_plugin.config import MelStatistics, build_config
from evagan_plugin.inference.eva_gan import EVAGANVocoder
from evagan_plugin.model.generator import EVAGANGenerator

CONFIG = build_config({"preset": "eva_gan_tiny_16k", "generator": {"context": "none", "channels": 64}})
TEN = math.log(10)


def speech(level: float = 0.3, noise: float = 1e-3, pitch: float = 140.0) -> Tensor:
    """Voice-like audio (1, 1, T), 2 s: words of a falling spectrum with pauses between them, and noise."""
    torch.manual_seed(0)
    time = torch.arange(32000) / 16000
    voice = sum(torch.sin(2 * math.pi * pitch * k * time) / k**1.5 for k in range(1, 50))
    words = (torch.sin(2 * math.pi * 1.5 * time) > -0.3).float()
    return (level * voice * words / 2 + noise * torch.randn(len(time))).view(1, 1, -1)


def mel_of(wav: Tensor) -> Tensor:
    return MelSpectrogram(CONFIG.mel)(wav)[0]


OWN = pytest.mark.parametrize(
    "wav",
    [
        speech(),
        speech(0.01, 0.0),
        speech(0.9, 0.02, 300.0),
        torch.zeros(1, 1, 32000),
        0.1 * torch.randn(1, 1, 32000, generator=torch.Generator().manual_seed(0)),
        torch.nn.functional.pad(speech(), (32000, 0)),
        torch.eye(1, 32000).view(1, 1, -1),
    ],
    ids=["speech", "quiet", "loud", "silence", "noise", "much silence", "a click"],
)
"""Sounds whose mels are a vocoder's own."""


@OWN
def test_ones_own_mels_are_never_doubted(wav: Tensor):
    assert unlikely_mel(mel_of(wav), CONFIG.mel) is None


MAKES: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "20 log10": (lambda mel: mel * 20 / TEN, "decibels"),
    "dB below the loudest": (lambda mel: (mel - mel.max()) * 20 / TEN, "decibels"),
    "log10": (lambda mel: mel / TEN, "log10"),
    "over all": (lambda mel: (mel - mel.mean()) / mel.std(), "normalised to mean 0 and deviation 1"),
    "by band": (lambda mel: (mel - mel.mean(1, keepdim=True)) / mel.std(1, keepdim=True), "normalised to mean 0"),
    "linear": (lambda mel: mel.exp(), "linear, without a logarithm"),
    "to 1": (lambda mel: (mel - mel.min()) / (mel.max() - mel.min()), "normalised to 0 to 1"),
    "Coqui's symmetric": (lambda mel: 8 * (mel - mel.min()) / (mel.max() - mel.min()) - 4, "normalised to -4 to 4"),
    "a floor of 1e-10": (lambda mel: torch.where(mel < -4, 3 * mel + 8, mel), "with a lower floor than 1e-05"),
}


@pytest.mark.parametrize("make", MAKES)
def test_those_of_another_make_are_known(make: str):
    change, cause = MAKES[make]
    doubt = unlikely_mel(change(mel_of(speech())), CONFIG.mel)
    assert doubt and doubt.startswith(cause) and "the floor here is -11.5" in doubt


def test_natural_logarithms_are_known_to_a_vocoder_of_decibels():
    config = build_config({"preset": "eva_gan_tiny_16k", "mel": {"log": "db"}}).mel
    mel = mel_of(speech())
    assert unlikely_mel(mel, config).startswith("natural logarithms")
    assert unlikely_mel(mel * 20 / TEN, config) is None


def test_a_run_says_it_once(evagan: Callable, caplog: pytest.LogCaptureFixture, tmp_path: Path):
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "model", CONFIG, EVAGANGenerator.from_config(CONFIG))
    (tmp_path / "mels").mkdir()
    for name in ("a", "b", "c"):
        # As models write them: with a batch of one.
        np.save(tmp_path / "mels" / f"{name}.npy", (mel_of(speech()) * 20 / TEN).unsqueeze(0).numpy())
    status, output, errors = evagan("synth", tmp_path / "model", tmp_path / "mels", tmp_path / "out")
    assert status == 0 and output.startswith("3 of 3 utterances"), errors
    (record,) = [one for one in caplog.records if one.name == "evagan_plugin.inference.vocoder"]
    assert record.getMessage().startswith(f"{tmp_path}/mels/a.npy is likely decibels (values -")
    caplog.clear()
    EVAGANVocoder.load(tmp_path / "model").resynthesize(speech().view(-1), 16000)
    assert not caplog.records


def statistics_of(*mels: Tensor, **changed: float) -> MelStatistics:
    """Statistics of a training on these mels."""
    values = torch.cat([mel.flatten() for mel in mels])
    found = {"mean": values.mean(), "deviation": values.std(), "lowest": values.min(), "highest": values.max()}
    return MelStatistics(**({name: float(value) for name, value in found.items()} | changed))


KNOWN = statistics_of(mel_of(speech()), mel_of(speech(0.1, 3e-4, 220.0)), mel_of(speech(0.6, 1e-3, 100.0)))


@OWN
def test_nor_are_they_beside_those_of_the_training(wav: Tensor):
    assert unlikely_mel(mel_of(wav), CONFIG.mel, KNOWN) is None


@pytest.mark.parametrize("make", MAKES)
def test_another_make_is_known_beside_those_of_the_training(make: str):
    change, cause = MAKES[make]
    doubt = unlikely_mel(change(mel_of(speech())), CONFIG.mel, KNOWN)
    assert doubt and doubt.startswith(cause) and f"trained on {KNOWN.lowest:.1f} to" in doubt


def test_the_training_says_what_the_range_alone_does_not():
    """Music on a floor of 1e-10 in log10, quiet recordings, and a corpus whose own mels have mean 0."""
    config = build_config({"preset": "eva_gan_tiny_16k", "mel": {"log": "log10", "floor": 1e-10}}).mel
    low = MelSpectrogram(config)(speech(noise=1e-5))[0]
    assert unlikely_mel(low * TEN / 2.6, config) is None
    doubt = unlikely_mel(low * TEN, config, statistics_of(low))
    assert doubt and doubt.startswith("natural logarithms")
    quiet = mel_of(speech(0.05, 1e-3))
    assert unlikely_mel(quiet / TEN, CONFIG.mel, statistics_of(quiet)).startswith("log10")
    zero = (mel_of(speech()) + 5.5) / 2
    assert unlikely_mel(zero, CONFIG.mel).startswith("normalised to mean 0")
    assert unlikely_mel(zero, CONFIG.mel, statistics_of(zero)) is None
    assert unlikely_mel(mel_of(speech()) + 8, CONFIG.mel, KNOWN).startswith("of another make")


def test_a_lower_floor_that_is_still_to_be_clamped_is_no_fault():
    mel = mel_of(speech(noise=0.0))
    lower = torch.where(mel < -6, 2 * mel + 6, mel)
    assert unlikely_mel(lower, CONFIG.mel, KNOWN).startswith("with a lower floor")
    assert unlikely_mel(lower, CONFIG.mel, KNOWN, floor=1e-10) is None
    assert unlikely_mel(lower * 20 / TEN, CONFIG.mel, KNOWN, floor=1e-10).startswith("decibels")
