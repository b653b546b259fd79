"""Losses by their formulas."""

import pytest
import torch

from evagan_plugin.config import MelConfig
from evagan_plugin.model.discriminators import DiscriminatorOutput
from evagan_plugin.training.losses import (
    MelLoss,
    MultiResolutionSTFTLoss,
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
)


def output(score, feature=0.0):
    return DiscriminatorOutput(
        torch.full((2, 3), score), [torch.full((2, 4), feature), torch.full((2, 1), 2 * feature)]
    )


def test_adversarial_losses_are_least_squares_summed_over_members():
    assert generator_loss([output(0.5), output(1.0)]) == pytest.approx(0.25)
    assert discriminator_loss([output(1.0)], [output(0.0)]) == 0
    assert discriminator_loss([output(0.5), output(1.0)], [output(0.5), output(2.0)]) == pytest.approx(4.5)


def test_feature_matching_sums_layer_means_and_leaves_the_real_side_alone():
    real, fake = output(0, 1.0), output(0, 3.0)
    for feature in (*real.feature_maps, *fake.feature_maps):
        feature.requires_grad_()
    loss = feature_matching_loss([real], [fake])
    assert float(loss) == pytest.approx(2.0 + 4.0)
    loss.backward()
    assert all(feature.grad is None for feature in real.feature_maps)
    assert all(feature.grad is not None for feature in fake.feature_maps)
    assert feature_matching_loss([real], [real]) == 0


@pytest.mark.parametrize("loss", [MelLoss(MelConfig(f_max=8000.0)), MultiResolutionSTFTLoss()], ids=["mel", "stft"])
def test_spectral_losses_are_zero_for_equal_signals_and_grow(loss):
    torch.manual_seed(0)
    wav = 0.1 * torch.randn(2, 1, 8192)
    assert loss(wav, wav) == 0
    near, far = (loss(wav + scale * torch.randn_like(wav), wav) for scale in (0.01, 0.1))
    assert 0 < near < far


def test_mel_loss_hears_what_lies_above_the_inputs_range():
    loss = MelLoss(MelConfig(sample_rate=22050, f_max=4000.0))
    t = torch.arange(8192) / 22050
    high = 0.1 * torch.sin(2 * torch.pi * 9000 * t).view(1, 1, -1)
    assert loss(high, torch.zeros_like(high)) > 0.1


def test_stft_loss_of_silence_is_finite():
    loss = MultiResolutionSTFTLoss()
    fake = torch.zeros(1, 1, 8192, requires_grad=True)
    value = loss(fake, torch.zeros(1, 1, 8192))
    value.backward()
    assert value == 0 and torch.isfinite(fake.grad).all()
