"""What an acoustic model of ESPnet gives is compared with the mels that the vocoder was trained on."""

import dataclasses
import math

import pytest
import torch

from evagan_plugin.audio.mel import MelConversion, MelSpectrogram
from evagan_plugin.config import MelStatistics, build_config
from evagan_plugin.espnet.tts.vocoder import ESPnetVocoder
from evagan_plugin.inference.eva_gan import EVAGANVocoder
from evagan_plugin.model.generator import EVAGANGenerator

CONFIG = build_config({"preset": "eva_gan_tiny_16k", "generator": {"context": "none", "channels": 64}})
SOURCE = dataclasses.replace(CONFIG.mel, log="log10", floor=1e-10)


@pytest.fixture
def features() -> torch.Tensor:
    """Log10-mels (F, n_mels) of words of a falling spectrum with silence between them: below the vocoder's floor."""
    torch.manual_seed(0)
    time = torch.arange(32000) / 16000
    voice = sum(torch.sin(2 * math.pi * 140 * k * time) / k**1.5 for k in range(1, 50))
    wav = 0.15 * voice * (torch.sin(2 * math.pi * 1.5 * time) > -0.3)
    return MelSpectrogram(SOURCE)(wav.view(1, 1, -1))[0].t()


def speak(features: torch.Tensor, known: MelStatistics | None) -> None:
    vocoder = EVAGANVocoder(dataclasses.replace(CONFIG, mel_statistics=known), EVAGANGenerator.from_config(CONFIG))
    ESPnetVocoder(vocoder, MelConversion(SOURCE, CONFIG.mel))(features)


def known_of(features: torch.Tensor) -> MelStatistics:
    mel = MelConversion(SOURCE, CONFIG.mel)(features.t())
    return MelStatistics(float(mel.mean()), float(mel.std()), float(mel.min()), float(mel.max()))


def test_its_own_features_are_not_doubted_though_they_lie_below_the_floor(features, caplog):
    for known in (None, known_of(features)):
        speak(features, known)
    assert not [record for record in caplog.records if "is likely" in record.getMessage()]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda x: x * 20, "decibels"),
        (lambda x: 10**x, "linear, without a logarithm"),
        (lambda x: (x - x.mean()) / x.std(), "normalised to mean 0"),
    ],
    ids=["decibels", "linear", "normalised"],
)
def test_those_of_another_make_are(features, caplog, change, cause):
    speak(change(features), known_of(features))
    (line,) = [record.getMessage() for record in caplog.records if "is likely" in record.getMessage()]
    assert line.startswith("what the acoustic model gives is likely ") and cause.split()[0] in line
    assert "trained on -11.5 to" in line
