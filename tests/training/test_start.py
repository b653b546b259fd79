"""``training.discriminator_start_steps``: what the generator and the discriminators do before and after."""

import copy

import pytest
import torch
from tiny_gan import Training, tiny_gan, two_tones

from evagan_plugin.errors import ConfigError

LATE = {"training": {"discriminator_start_steps": 2}}
ADVERSARIAL = {"adv_mpd", "fm_mpd", "adv_mrd", "fm_mrd"}


def test_discriminators_rest_until_their_step():
    run, wav = Training(**LATE), two_tones()
    calls = []
    run.gan.discriminators["mpd"].register_forward_hook(lambda *_: calls.append(1))
    before = copy.deepcopy(run.gan.discriminators.state_dict())
    for _ in range(2):
        (output,) = run.steps([wav])
        assert not ADVERSARIAL & output.stats.keys() and "mel" in output.stats
    assert not calls and not run.optimizers[0].state
    # AdamW would have decayed weights that had a gradient of zero.
    assert all(torch.equal(value, before[name]) for name, value in run.gan.discriminators.state_dict().items())
    (output,) = run.steps([wav])
    assert output.stats.keys() >= ADVERSARIAL and calls
    moved = [not torch.equal(value, before[name]) for name, value in run.gan.discriminators.state_dict().items()]
    assert sum(moved) > 0.9 * len(moved)


def test_a_resting_step_has_the_keys_of_the_others_and_a_loss_of_zero():
    late, now, wav = tiny_gan(**LATE), tiny_gan(), two_tones()
    resting, taken = late.discriminator_step(wav), now.discriminator_step(wav)
    assert resting.stats.keys() == taken.stats.keys() and not any(resting.stats.values())
    assert resting.loss == 0 and resting.fake is None
    resting.loss.backward()
    assert all(parameter.grad is None for parameter in late.parameters())


def test_before_it_the_generator_trains_on_mel_and_stft_alone():
    losses = {"mel": 1.0, "stft": 1.0}
    late, alone = tiny_gan(losses=losses, **LATE), tiny_gan(losses=losses | {"adversarial": 0, "feature_matching": 0})
    for gan in (late, alone):
        gan.generator_step(two_tones()).loss.backward()
    for left, right in zip(late.generator.parameters(), alone.generator.parameters(), strict=True):
        assert torch.equal(left.grad, right.grad)


def test_evaluation_does_not_count():
    gan = tiny_gan(**LATE).eval()
    for _ in range(3):
        gan.generator_step(two_tones())
    assert int(gan.steps) == 0 and not gan.discriminating


@pytest.mark.parametrize(
    "settings", [{"discriminator_start_steps": -1}, {"discriminator_start_steps": 1.5}], ids=["negative", "fraction"]
)
def test_a_wrong_number_is_reported(settings):
    with pytest.raises(ConfigError) as caught:
        tiny_gan(training=settings)
    assert caught.value.field == "training.discriminator_start_steps"


def test_there_must_be_a_loss_without_discriminators():
    with pytest.raises(ConfigError, match="before it there is nothing to train on") as caught:
        tiny_gan(losses={"mel": 0}, **LATE)
    assert caught.value.field == "training.discriminator_start_steps"
