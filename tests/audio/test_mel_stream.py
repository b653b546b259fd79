"""Mels of audio that arrives piece by piece are those of the whole recording, frame by frame."""

import pytest
import torch
from torch.nn import functional as F

from evagan_plugin.audio.mel import MelConfig, MelSpectrogram
from evagan_plugin.audio.mel_stream import MelStream
from evagan_plugin.errors import UsageError

MELS = {
    "centred": {"center": True},
    "not centred": {},
    "odd remainder": {"hop_length": 15, "n_fft": 64, "win_length": 60},
    "a long hop": {"hop_length": 60, "n_fft": 64, "win_length": 60, "center": True},
    "preemphasis": {"preemphasis": 0.9, "center": True},
}


@pytest.mark.parametrize("kind", MELS)
@pytest.mark.parametrize("samples", [1, 33, 64, 500])
def test_frames_are_those_of_the_whole(kind, samples):
    plain = {"sample_rate": 8000, "n_fft": 64, "win_length": 64, "hop_length": 16, "n_mels": 8}
    config = MelConfig(**plain | MELS[kind])
    mel, hop = MelSpectrogram(config), config.hop_length
    wav = torch.randn(2, samples)
    padded = max(-(-samples // hop) * hop, config.n_fft)
    whole = mel(F.pad(wav, (0, padded - samples)).unsqueeze(1))
    for length in (1, 7, 100, samples):
        stream = MelStream(mel)
        frames, fed = [], 0
        for piece in wav.split(length, dim=-1):
            frames.append(stream.feed(piece))
            fed += piece.shape[-1]
            assert sum(part.shape[-1] for part in frames) * hop <= fed
        frames.append(stream.flush())
        assert torch.allclose(torch.cat(frames, -1), whole, atol=1e-5)


def test_a_frame_comes_with_the_last_sample_of_its_window():
    stream = MelStream(MelSpectrogram(MelConfig(sample_rate=16000, n_fft=1024, hop_length=256, center=True)))
    assert stream.feed(torch.randn(1, 512)).shape == (1, 80, 0)
    assert stream.feed(torch.randn(1, 1)).shape == (1, 80, 1)
    assert stream.feed(torch.randn(1, 254)).shape == (1, 80, 0)
    assert stream.feed(torch.randn(1, 1)).shape == (1, 80, 1)


def test_nothing_is_remembered_of_what_is_long_past():
    stream = MelStream(MelSpectrogram(MelConfig(sample_rate=16000)))
    for _ in range(20):
        stream.feed(torch.randn(1, 5000))
        assert stream._wav.shape[-1] < 3 * 1024


def test_what_comes_after_the_end_is_told():
    stream = MelStream(MelSpectrogram(MelConfig()))
    with pytest.raises(UsageError, match="before its first sample"):
        stream.flush()
    stream.feed(torch.randn(1, 5))
    stream.flush()
    with pytest.raises(UsageError, match="after flush"):
        stream.feed(torch.randn(1, 5))
