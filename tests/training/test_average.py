"""The moving average of the generator: its formula, that it is resumed exactly, and where it stands in."""

import copy
import logging

import pytest
import torch
from tiny_gan import Training, tiny_gan, two_tones

from evagan_plugin.checkpoint.tensors import one_generator
from evagan_plugin.errors import ConfigError
from evagan_plugin.training.average import WARM_UP, GeneratorAverage, StepCount

EMA = {"training": {"ema": 0.9}}


@pytest.fixture
def waves():
    return [two_tones() * scale for scale in (1.0, 0.5, 0.8, 0.3)]


def equal(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_the_average_is_the_formula():
    module = torch.nn.Linear(1, 1, bias=False)
    average = GeneratorAverage(module, 0.2)
    expected = None
    for steps, value in enumerate((1.0, 3.0, -2.0, 5.0, 7.0)):
        module.weight.data.fill_(value)
        average.update(module)
        decay = min(0.2, steps / (steps + WARM_UP))
        expected = value if expected is None else decay * expected + (1 - decay) * value
        assert float(average.generator.weight.detach()) == pytest.approx(expected, rel=1e-6)


def test_it_moves_once_per_generator_step_and_no_optimizer_reaches_it(waves):
    run = Training(**EMA)
    assert run.gan.inference_generator is run.gan.generator
    seen = []
    for wav in waves:
        seen.append(copy.deepcopy(run.gan.generator.state_dict()))
        run.steps([wav])
    assert int(run.gan.ema.steps) == int(run.gan.steps) == len(waves)
    expected = seen[0]
    for steps, weights in enumerate(seen):
        decay = min(0.9, steps / (steps + WARM_UP))
        expected = {name: decay * expected[name] + (1 - decay) * weights[name] for name in weights}
    for name, value in run.gan.ema.generator.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-7)
    assert not any(parameter.requires_grad for parameter in run.gan.ema.parameters())


def test_evaluation_hears_the_average(waves):
    run = Training(**EMA)
    run.steps(waves)
    gan = run.gan.eval()
    mel = gan.mel(waves[0])
    with torch.no_grad():
        fake = gan.generator_step(waves[0]).fake
        assert torch.equal(fake, gan.ema.generator(mel)) and not torch.allclose(fake, gan.generator(mel))
    before = copy.deepcopy(gan.state_dict())
    gan.discriminator_step(waves[0])
    assert equal(before, gan.state_dict())


@pytest.mark.parametrize("training", [{"ema": 0.9}, {"ema": 0.9, "discriminator_start_steps": 3}])
def test_a_resumed_run_is_the_unbroken_one(waves, training):
    unbroken = Training(training=training)
    unbroken.steps(waves)
    first = Training(training=training)
    first.steps(waves[:2])
    second = Training(training=training, balancer={"total_norm": 1.0}).load(copy.deepcopy(first.state()))
    second.steps(waves[2:])
    assert equal(unbroken.gan.state_dict(), second.gan.state_dict())
    assert all(value.is_floating_point() for value in second.gan.state_dict().values())  # hosts average them


def test_states_of_before_and_of_other_configs_are_completed(waves):
    plain, averaged = Training(), Training(**EMA)
    for run in (plain, averaged):
        run.steps(waves)
    old = {name: value for name, value in plain.gan.state_dict().items() if not name.startswith("steps.")}
    gan = tiny_gan(**EMA)
    gan.load_state_dict(old)
    assert int(gan.steps) == len(waves)  # as the balancer counted
    assert gan.inference_generator is gan.generator  # no step was averaged yet
    assert equal(gan.ema.generator.state_dict(), gan.generator.state_dict())
    gan = tiny_gan()
    gan.load_state_dict(averaged.gan.state_dict())
    assert equal(gan.generator.state_dict(), averaged.gan.generator.state_dict())


def test_a_training_checkpoint_is_opened_as_its_average(waves, caplog):
    run = Training(**EMA)
    holder = torch.nn.ModuleDict({"gan": run.gan})
    with caplog.at_level(logging.WARNING):
        untrained = one_generator(holder.state_dict(), "new.pth")
        run.steps(waves)
        chosen = one_generator(holder.state_dict(), "run.pth")
    assert not any(name.startswith("gan.ema.generator") for name in untrained)
    assert not any(name.startswith("gan.generator") for name in chosen)
    assert "gan.ema.generator.upsampler.pre.bias" in chosen
    assert [record.getMessage() for record in caplog.records] == [
        "new.pth: the generator is taken, its moving average is of no steps yet (training.ema)",
        "run.pth: the moving average of the generator's weights is taken (training.ema)",
    ]


def test_a_generator_with_the_older_weight_norm_can_be_averaged():
    with pytest.warns(FutureWarning):
        module = torch.nn.utils.weight_norm(torch.nn.Linear(3, 2))
    average = GeneratorAverage(module, 0.5)
    average.update(module)
    x = torch.randn(4, 3)
    assert torch.equal(average.generator(x), module(x))


def test_a_count_is_read_anew_after_loading():
    count, other = StepCount(), StepCount()
    count.add(), count.add()
    other.load_state_dict(count.state_dict())
    other.add()
    assert (int(count), int(other), float(other.done)) == (2, 3, 3.0)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5, 1.5, "yes"])
def test_a_decay_lies_between_0_and_1(value):
    with pytest.raises(ConfigError) as caught:
        tiny_gan(training={"ema": value})
    assert caught.value.field == "training.ema"


def test_off_is_no_average():
    assert tiny_gan(training={"ema": "off"}).ema is None
