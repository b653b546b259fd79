"""``--dtype auto``: bfloat16 only where the processor has it and the waveforms hardly change."""

import logging
import math

import numpy as np
import pytest
import torch
from exports import small_model
from torch import nn

from evagan_plugin import EVAGANVocoder
from evagan_plugin.checkpoint.native import save_checkpoint
from evagan_plugin.config import MelConfig
from evagan_plugin.inference import precision
from evagan_plugin.inference.precision import LEAST_SNR, automatic_dtype, bfloat16_snr
from evagan_plugin.inference.vocoder import Vocoder

MEL = MelConfig(n_mels=10)


class Mean(nn.Module):
    """The mean over bands, scaled: a generator of which only the output is rounded, or its terms as well."""

    def __init__(self, coarse: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, 10, 1), 1 / 16))
        self.coarse = coarse

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        scaled = (mel * self.weight).sum(1, keepdim=True)
        return scaled - 4096.0 + 4096.0 if self.coarse else scaled


@pytest.fixture
def able(monkeypatch):
    """Return a function that gives this processor abilities."""

    def give(*abilities: str) -> None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(abilities, True))

    return give


def chosen(generator: nn.Module, caplog) -> tuple[torch.dtype, str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        dtype = automatic_dtype(generator.eval(), MEL, torch.device("cpu"))
    (line,) = caplog.messages
    return dtype, line


def test_bfloat16_where_the_processor_has_it_and_it_is_near_enough(able, caplog):
    for ability in precision.BFLOAT16:
        able(ability)
        dtype, line = chosen(Mean(), caplog)
        assert dtype == torch.bfloat16
        assert line.startswith("dtype auto: bfloat16, since it is 5") and line.endswith(f"the processor has {ability}")
    dtype, line = chosen(Mean(coarse=True), caplog)
    assert dtype == torch.float32
    assert line.startswith("dtype auto: float32, since bfloat16 is ") and "50 dB are asked for" in line
    able("avx512_f", "avx2")
    assert chosen(Mean(), caplog) == (
        torch.float32,
        "dtype auto: float32, since this processor has none of avx512_bf16, amx_bf16",
    )


def test_a_model_that_cannot_compute_in_it_stays_in_float32(able, caplog):
    class Transform(Mean):
        def forward(self, mel: torch.Tensor) -> torch.Tensor:
            return torch.fft.irfft(torch.fft.rfft(super().forward(mel)))

    able("amx_bf16")
    dtype, line = chosen(Transform(), caplog)
    assert (dtype, line) == (torch.float32, "dtype auto: float32, since this model cannot compute in bfloat16")


def test_the_ratio_is_that_of_rounded_waveforms():
    """A mantissa of 8 bits: uniform errors of up to 2^-9 of a value, so it is 10 log10(3 * 2^18) = 59 dB at most."""
    assert 50 < bfloat16_snr(Mean(), MEL) < 59
    assert bfloat16_snr(Mean(coarse=True), MEL) < 20
    silent = Mean()
    nn.init.zeros_(silent.weight)
    assert bfloat16_snr(silent, MEL) == math.inf
    nn.init.constant_(silent.weight, torch.nan)
    assert not bfloat16_snr(silent, MEL) >= LEAST_SNR


def test_a_vocoder_computes_in_what_was_chosen(able, caplog, tmp_path):
    able("avx512_bf16")
    vocoder = Vocoder(MEL, Mean(), dtype="auto")
    assert vocoder.dtype == vocoder.generator.weight.dtype == torch.bfloat16
    able()
    vocoder = Vocoder(MEL, Mean().bfloat16(), dtype="auto")
    assert vocoder.dtype == vocoder.generator.weight.dtype == torch.float32
    save_checkpoint(tmp_path / "voc", *small_model())
    assert EVAGANVocoder.load(tmp_path / "voc", dtype="auto").dtype == torch.float32


def test_the_command_says_what_was_chosen(evagan, tmp_path, caplog):
    save_checkpoint(tmp_path / "voc", *small_model())
    np.save(tmp_path / "mel.npy", np.zeros((10, 5), np.float32))
    assert evagan("synth", tmp_path / "voc", tmp_path / "mel.npy", tmp_path / "out", "--dtype", "auto")[0] == 0
    (line,) = [line for line in caplog.messages if line.startswith("dtype auto: ")]
    assert "float32, since" in line or "bfloat16, since" in line
