"""The generator's forward pass, kept from the discriminators' step to the generator's: equal to a second one."""

import pytest
import torch
from tiny_gan import TINY, Training, tiny_gan, two_tones


def gradients(module) -> list[torch.Tensor]:
    return [parameter.grad.clone() for parameter in module.parameters()]


def passes(gan) -> list:
    seen = []
    gan.generator.register_forward_hook(lambda *_: seen.append(1))
    return seen


@pytest.mark.parametrize("activations", [{}, {"checkpointing": True}], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("more", [{}, {"discriminator_frames": 8}, {"bf16": True}], ids=str)
def test_losses_and_gradients_equal_those_of_two_passes(activations, more):
    results = []
    for reuse in (True, False):
        gan = tiny_gan(
            generator=TINY["generator"] | activations, training={"reuse_forward": reuse, "mel_smoothing": 2.0} | more
        )
        seen, wav, width = passes(gan), two_tones(), torch.tensor([0.5, 2.0])
        torch.manual_seed(5)
        judged = gan.discriminator_step(wav, smoothing=width)
        judged.loss.backward()
        results.append([judged.loss, judged.fake, *gradients(gan.discriminators)])
        gan.zero_grad()
        heard = gan.generator_step(wav, smoothing=width)
        heard.loss.backward()
        results[-1] += [heard.loss, heard.fake, *gradients(gan.generator), *heard.stats.values()]
        # Checkpointing runs the stages again in backward, not the generator.
        assert len(seen) == (1 if reuse else 2)
    assert len(results[0]) == len(results[1])
    assert all(map(torch.equal, *results))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("more", [{}, {"ema": 0.9, "discriminator_start_steps": 2}], ids=str)
def test_a_training_is_the_same(fused, more):
    states = []
    for reuse in (True, False):
        run = Training(fused=fused, training={"reuse_forward": reuse} | more)
        run.steps([two_tones(), 0.5 * two_tones(), two_tones(), two_tones()])
        states.append(run.gan.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


@pytest.mark.parametrize("foreach", [False, True])
def test_nothing_is_reused_once_weights_have_moved(foreach):
    gan, wav = tiny_gan(), two_tones()
    optimizer = torch.optim.SGD(gan.generator.parameters(), 0.1, foreach=foreach)
    gan.generator_step(wav).loss.backward()
    gan.discriminator_step(wav)
    optimizer.step()
    seen = passes(gan)
    fake = gan.generator_step(wav).fake
    assert len(seen) == 1
    assert torch.equal(fake, gan.generator(gan.mel(wav)).detach())


def test_nothing_is_reused_for_another_batch():
    gan, wav = tiny_gan(), two_tones()
    seen = passes(gan)
    for other in (0.5 * wav, wav.clone(), wav):
        gan.discriminator_step(wav)
        gan.generator_step(other)
    assert len(seen) == 2 + 2 + 1
    mel = gan.mel(wav)
    gan.discriminator_step(wav, mel)
    gan.generator_step(wav, mel[:])  # another view of the same memory, as hosts' adapters make
    gan.discriminator_step(wav, mel)
    gan.generator_step(wav)
    assert len(seen) == 5 + 1 + 2


def test_a_batch_that_was_written_over_is_not_taken_for_the_old_one():
    gan, wav = tiny_gan(), two_tones()
    gan.discriminator_step(wav)
    wav.mul_(0.5)
    fake = gan.generator_step(wav).fake
    assert torch.equal(fake, tiny_gan().generator_step(wav).fake)


def test_evaluation_keeps_nothing():
    gan = tiny_gan().eval()
    gan.discriminator_step(two_tones())
    assert gan._kept is None
    with torch.inference_mode():
        gan.discriminator_step(two_tones()), gan.generator_step(two_tones())
