"""Smoothing of mels over frames."""

import numpy as np
import pytest
import torch
from tiny_gan import FRAMES, tiny_gan, two_tones

from evagan_plugin.training.smoothing import smooth


def by_definition(mel: np.ndarray, width: float) -> np.ndarray:
    """Smooth one item (n_mels, F) frame by frame."""
    frames = np.arange(mel.shape[1])
    weights = np.maximum(0, 1 - np.abs(frames[:, None] - frames) / (1 + width))
    return mel @ (weights / weights.sum(0))


def test_each_item_is_smoothed_by_its_own_width():
    mel, widths = torch.randn(4, 5, 12, dtype=torch.double), [0.0, 0.4, 1.0, 2.7]
    smoothed = smooth(mel, torch.tensor(widths), 3)
    for one, width, item in zip(smoothed, widths, mel, strict=True):
        np.testing.assert_allclose(one, by_definition(item.numpy(), width), atol=1e-6)
    assert torch.equal(smoothed[0], mel[0])


def test_a_steady_mel_stays_as_it_is_up_to_the_ends():
    mel = torch.full((1, 3, 9), -4.0)
    assert torch.allclose(smooth(mel, torch.tensor([2.0]), 2), mel)


def test_the_generators_input_is_smoothed_and_no_target(monkeypatch):
    gan, wav = tiny_gan(training={"mel_smoothing": 2.0}).eval(), two_tones()
    width = torch.tensor([0.0, 2.0])
    heard, compared = [], []
    gan.generator.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    gan.mel_loss.register_forward_pre_hook(lambda _, inputs: compared.append(inputs[1]))
    gan.generator_step(wav, smoothing=width)
    gan.discriminator_step(wav, smoothing=width)
    mel = gan.mel(wav)
    assert mel.shape[-1] == FRAMES
    for seen in heard:
        assert torch.equal(seen[0], mel[0])
        np.testing.assert_allclose(seen[1], by_definition(mel[1].numpy(), 2.0), atol=1e-5)
    assert len(heard) == 2 and torch.equal(compared[0], wav)


@pytest.mark.parametrize("given", [True, False])
def test_mels_of_a_host_are_smoothed_too(given):
    gan, wav = tiny_gan(training={"mel_smoothing": 2.0}).eval(), two_tones()
    mel = gan.mel(wav) if given else None
    plain, smoothed = gan.generator_step(wav, mel), gan.generator_step(wav, mel, smoothing=torch.tensor([2.0, 2.0]))
    assert not torch.allclose(plain.fake, smoothed.fake)
