"""The two steps: what each reaches, what it reports, and that they teach a small model something."""

import pytest
import torch
from tiny_gan import TINY, tiny_gan, two_tones

from evagan_plugin.config import build_config
from evagan_plugin.errors import UsageError
from evagan_plugin.training.gan import GANVocoder


@pytest.fixture
def wav():
    return two_tones()


def has_gradient(module):
    return [parameter.grad is not None for parameter in module.parameters()]


@pytest.mark.parametrize("overrides", [{}, {"balancer": "off"}, {"training": {"segment_frames": 32, "bf16": True}}])
def test_each_step_reaches_its_own_side_alone(wav, overrides):
    gan = tiny_gan(**overrides)
    step = gan.generator_step(wav)
    step.loss.backward()
    assert all(has_gradient(gan.generator)) and not any(has_gradient(gan.discriminators))
    assert step.fake.shape == wav.shape and not step.fake.requires_grad
    gan.zero_grad()
    gan.discriminator_step(wav).loss.backward()
    assert all(has_gradient(gan.discriminators)) and not any(has_gradient(gan.generator))


def test_without_the_balancer_the_gradient_is_the_weighted_sums(wav):
    gan = tiny_gan(balancer="off").double()
    wav = wav.double()
    gan.generator_step(wav).loss.backward()
    ours = [p.grad.clone() for p in gan.generator.parameters()]
    gan.zero_grad()
    fake = gan.generator(gan.mel(wav))
    loss = sum(gan.weights[name] * value for group in gan._generator_losses(wav, fake) for name, value in group.items())
    loss.backward()
    for left, parameter in zip(ours, gan.generator.parameters(), strict=True):
        assert torch.allclose(left, parameter.grad, rtol=1e-7, atol=1e-12)


def test_stats_name_every_loss_and_share(wav):
    stats = tiny_gan().generator_step(wav).stats
    losses = {"mel", "adv_mpd", "fm_mpd", "adv_mrd", "fm_mrd"}
    assert losses | {"loss", "balancer/skipped"} <= stats.keys()
    assert sum(stats[f"balancer/share_{name}"] for name in losses) == pytest.approx(1.0)
    assert not any(value.requires_grad for value in stats.values())


def test_evaluation_leaves_the_balancer_and_reports_the_plain_sum(wav):
    gan = tiny_gan().eval()
    before = {name: value.clone() for name, value in gan.state_dict().items()}
    with torch.no_grad():
        step = gan.generator_step(wav)
        gan.discriminator_step(wav)
    assert step.loss == step.stats["loss"]
    assert all(torch.equal(value, before[name]) for name, value in gan.state_dict().items())


def test_losses_of_weight_zero_are_not_computed(wav):
    gan = tiny_gan(losses={"mel": 1, "adversarial": 0, "feature_matching": 0, "stft": 1})
    assert {"mel", "stft"} == {name for name in gan.generator_step(wav).stats if "/" not in name} - {"loss"}


def test_discriminators_may_see_a_crop(wav):
    gan = tiny_gan(training={"segment_frames": 32, "discriminator_frames": 8})
    seen = []
    gan.discriminators["mpd"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    gan.discriminator_step(wav)
    gan.generator_step(wav).loss.backward()
    assert set(seen) == {8 * 64}
    gan.eval().discriminator_step(wav)
    assert seen[-1] == 32 * 64


def test_mels_of_a_host_take_the_place_of_computed_ones(wav):
    gan = tiny_gan().eval()
    mel = gan.mel(wav)
    assert torch.equal(gan.generator_step(wav).fake, gan.generator_step(wav, mel).fake)
    assert not torch.allclose(gan.generator_step(wav).fake, gan.generator_step(wav, mel + 1).fake)
    with pytest.raises(UsageError, match="31 mel frames of 64 samples do not fit"):
        gan.generator_step(wav, mel[..., :-1])


@pytest.mark.parametrize("shape", [(2, 2048), (2, 2, 2048), (2, 1, 2050)])
def test_wrong_waveforms_are_reported(shape):
    with pytest.raises(UsageError, match="waveforms of shape"):
        tiny_gan().generator_step(torch.zeros(shape))


def test_another_generator_trains_through_the_same_object(wav):
    generator = torch.nn.ConvTranspose1d(20, 1, 64, 64)
    gan = GANVocoder(build_config(TINY), generator).train()
    gan.generator_step(wav).loss.backward()
    assert all(has_gradient(generator))


@pytest.mark.parametrize("balancer", [{}, "off"], ids=["balancer", "weighted sum"])
def test_a_small_model_learns(wav, balancer):
    gan = tiny_gan(balancer=balancer)
    optimizers = [
        torch.optim.AdamW(side.parameters(), 2e-3, betas=(0.8, 0.99)) for side in (gan.generator, gan.discriminators)
    ]
    first = float(gan.eval().generator_step(wav).stats["mel"])
    gan.train()
    for _ in range(45):
        for step, optimizer in zip((gan.generator_step, gan.discriminator_step), optimizers, strict=True):
            gan.zero_grad()
            step(wav).loss.backward()
            optimizer.step()
    assert float(gan.eval().generator_step(wav).stats["mel"]) < 0.4 * first
