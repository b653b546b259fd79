"""The mel front end against independent implementations, and the contract between two definitions."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from evagan_plugin.audio.features import check_mel
from evagan_plugin.audio.mel import MelConversion, MelMismatchError, MelSpectrogram
from evagan_plugin.config import MelConfig
from evagan_plugin.errors import UsageError

HIFIGAN = MelConfig(f_max=8000.0)
ESPNET = MelConfig(
    sample_rate=16000, f_min=80.0, f_max=7600.0, center=True, power_add=0.0, power_floor=1e-10, log="log10", floor=1e-10
)


@pytest.fixture(scope="module")
def wav():
    """A sweep with noise and a silent tail (1, 1, T)."""
    generator = torch.Generator().manual_seed(0)
    t = torch.arange(22050) / 22050
    signal = 0.3 * torch.sin(2 * torch.pi * (100 + 3000 * t) * t) + 0.01 * torch.randn(22050, generator=generator)
    signal[18000:] = 0
    return signal.view(1, 1, -1)


def librosa_mel(wav, config):
    librosa = pytest.importorskip("librosa", reason="the extra `score` or `espnet` brings librosa")
    signal = wav.numpy().reshape(-1)
    if not config.center:
        pad = (config.n_fft - config.hop_length) // 2
        signal = np.pad(signal, (pad, pad), mode="reflect")
    spectrum = librosa.stft(
        signal,
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        win_length=config.win_length,
        center=config.center,
        pad_mode="reflect",
    )
    power = np.maximum(np.abs(spectrum.astype(np.complex128)) ** 2 + config.power_add, config.power_floor)
    filters = librosa.filters.mel(
        sr=config.sample_rate, n_fft=config.n_fft, n_mels=config.n_mels, fmin=config.f_min, fmax=config.upper_edge
    )
    return filters @ np.sqrt(power)


def test_hifigan_convention_equals_librosa(wav):
    ours = MelSpectrogram(HIFIGAN)(wav)[0].numpy()
    theirs = np.log(np.maximum(librosa_mel(wav, HIFIGAN), 1e-5))
    assert ours.shape == theirs.shape == (80, 22050 // 256)
    assert np.abs(ours - theirs).max() < 2e-3


def test_espnet_convention_equals_espnets_own_feature_extractor(wav):
    module = pytest.importorskip("espnet2.tts.feats_extract.log_mel_fbank", reason="the extra `espnet` brings ESPnet")
    theirs, _ = module.LogMelFbank(fs=16000, n_fft=1024, hop_length=256, fmin=80, fmax=7600)(wav.squeeze(1))
    ours = MelSpectrogram(ESPNET)(wav)
    assert ours.shape[-1] == 22050 // 256 + 1
    assert torch.allclose(ours, theirs.transpose(1, 2), atol=2e-4)


def test_frames_and_their_count(wav):
    for config in (HIFIGAN, ESPNET):
        mel = MelSpectrogram(config)
        for samples in (2048, 2049, 2303, 2304):
            assert mel(wav[..., :samples]).shape[-1] == mel.frames(samples)


def test_an_odd_padding_still_gives_whole_frames(wav):
    config = dataclasses.replace(HIFIGAN, hop_length=255)
    assert MelSpectrogram(config)(wav[..., : 255 * 20]).shape[-1] == 20


def test_preemphasis_is_the_difference_filter(wav):
    config = dataclasses.replace(HIFIGAN, preemphasis=0.97)
    filtered = wav.clone()
    filtered[..., 1:] -= 0.97 * wav[..., :-1]
    assert torch.allclose(MelSpectrogram(config)(wav), MelSpectrogram(HIFIGAN)(filtered), atol=1e-5)


def test_a_waveform_too_short_for_a_frame_is_told():
    with pytest.raises(UsageError, match="300 samples are too few"):
        MelSpectrogram(HIFIGAN)(torch.zeros(1, 1, 300))


@pytest.mark.parametrize("log", ["ln", "log10", "db"])
def test_conversion_of_logarithm_gain_and_floor_is_exact(wav, log):
    source = dataclasses.replace(HIFIGAN, log=log, gain=1.7, floor=1e-8)
    converted = MelConversion(source, HIFIGAN)(MelSpectrogram(source)(wav))
    assert torch.allclose(converted, MelSpectrogram(HIFIGAN)(wav), atol=2e-5)


def test_conversion_restores_normalised_features(wav):
    mel = MelSpectrogram(HIFIGAN)(wav)
    mean, scale = mel.mean((0, 2)), mel.std((0, 2)) + 0.1
    normalised = (mel - mean.view(-1, 1)) / scale.view(-1, 1)
    assert torch.allclose(MelConversion(HIFIGAN, HIFIGAN, mean, scale)(normalised), mel, atol=1e-5)


def test_a_mismatch_lists_every_field_with_both_values():
    other = MelConfig(sample_rate=24000, n_fft=1024, hop_length=300, win_length=1024, n_mels=100)
    with pytest.raises(MelMismatchError) as caught:
        MelConversion(other, HIFIGAN)
    assert {name for name, _, _ in caught.value.fields} == {"sample_rate", "hop_length", "n_mels", "f_max"}
    assert "hop_length is 300 there and 256 here" in str(caught.value)


def test_a_floor_above_the_vocoders_cannot_be_restored():
    with pytest.raises(MelMismatchError, match="floor"):
        MelConversion(HIFIGAN, dataclasses.replace(HIFIGAN, floor=1e-8))


def test_a_ceiling_is_lowered_exactly_and_cannot_be_raised(wav):
    free = MelSpectrogram(HIFIGAN)(wav)
    low, high = (dataclasses.replace(HIFIGAN, ceiling=float(free.exp().quantile(share))) for share in (0.5, 0.9))
    clipped = MelSpectrogram(low)(wav)
    assert torch.equal(clipped, free.clamp(max=math.log(low.ceiling)))
    for source in (HIFIGAN, high, dataclasses.replace(high, log="log10", gain=20.0)):
        assert torch.allclose(MelConversion(source, low)(MelSpectrogram(source)(wav)), clipped, atol=2e-5)
    for target in (HIFIGAN, high):
        with pytest.raises(MelMismatchError, match=f"ceiling is {low.ceiling} there"):
            MelConversion(low, target)
    with pytest.raises(ValueError, match="ceiling 1e-06 is not above floor 1e-05"):
        dataclasses.replace(HIFIGAN, ceiling=1e-6)


def test_half_a_hop_of_framing_is_refused():
    with pytest.raises(MelMismatchError, match="center"):
        MelConversion(dataclasses.replace(HIFIGAN, center=True), HIFIGAN)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((40, 80), "swapped"), ((81, 40), "81 bands"), ((80, 0), "no frames"), ((80,), "dimensions")],
)
def test_wrong_mels_are_told_apart(shape, message):
    with pytest.raises(UsageError, match=message):
        check_mel(torch.zeros(shape), HIFIGAN)


def test_a_mel_with_nan_is_refused():
    with pytest.raises(UsageError, match="not finite"):
        check_mel(torch.full((80, 3), torch.nan), HIFIGAN)
