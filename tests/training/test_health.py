"""What is said of a training that goes wrong, when and how often."""

import logging
import math

import pytest
import torch
from tiny_gan import Training, tiny_gan, two_tones

from evagan_plugin.training.health import EARLIEST, PATIENCE, Health

GOOD = {"mel": 1.0, "disc_mpd": 0.6, "adv_mpd": 0.9, "disc_mrd": 0.3, "adv_mrd": 0.5, "fake/level": 1.0}
WON = {"disc_mpd": 0.02, "adv_mpd": 1.98}  # of two members


@pytest.fixture
def health():
    return Health(tiny_gan().config.discriminators)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fake/level": 0.01}, "nearly silent"),
        ({"fake/saturated": 0.3}, "30% of its samples are at full scale"),
        (WON, "discriminator mpd is never wrong"),
    ],
)
def test_a_lasting_trouble_is_said_once_with_what_to_try(health, caplog, change, words):
    with caplog.at_level(logging.WARNING):
        looks = [health.look(GOOD | change, EARLIEST + look) for look in range(PATIENCE + 3)]
    assert [len(lines) for lines in looks] == [0] * (PATIENCE - 1) + [1] + [0] * 3
    (line,) = looks[PATIENCE - 1]
    assert words in line and "Try: " in line and "\n" not in line and line.startswith(f"step {EARLIEST + 2}: ")
    assert [record.getMessage() for record in caplog.records] == [line]
    health.look(GOOD, 0)  # it is over, and may come again
    again = [health.look(GOOD | change, EARLIEST) for _ in range(PATIENCE)]
    assert [len(lines) for lines in again] == [0] * (PATIENCE - 1) + [1]


def test_the_first_steps_and_a_healthy_training_are_not_talked_about(health):
    for _ in range(PATIENCE + 1):
        assert not health.look(GOOD | WON | {"fake/level": 0.0}, EARLIEST - 1)
        assert not health.look(GOOD, EARLIEST)
        assert not health.look({"iter_time": 0.1}, EARLIEST)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mel": math.nan, "loss": math.inf}, "not finite: mel, loss"),
        ({"balancer/norm_fm_mpd": math.inf, "balancer/skipped": 1.0}, "the gradient of fm_mpd is not finite"),
        ({"balancer/skipped": 0.2}, "the gradient of a loss is not finite"),  # of a mean over steps
    ],
)
def test_what_is_not_finite_is_said_at_once(health, change, words):
    (line,) = health.look(GOOD | change, 1)
    assert words in line and "Try: " in line
    assert not health.look(GOOD | change, 2)


def test_a_real_training_that_goes_wrong_is_noticed(health):
    """Steps of a far too large rate drive the output to full scale or to what is not finite."""
    run, wav = Training(balancer="off"), two_tones()
    for group in run.optimizers[1].param_groups:
        group["lr"] = 30.0
    said = []
    for look in range(8):
        (output,) = run.steps([wav])
        said += health.look({name: float(value) for name, value in output.stats.items()}, EARLIEST + look)
    assert said and ("full scale" in said[0] or "not finite" in said[0] or "silent" in said[0])


def test_levels_are_those_of_the_audio():
    gan, wav = tiny_gan().eval(), two_tones()
    with torch.no_grad():
        output = gan.generator_step(wav)
        expected = output.fake.square().mean().sqrt() / wav.square().mean().sqrt()
    assert float(output.stats["fake/level"]) == pytest.approx(float(expected), rel=1e-3)
    assert output.stats["fake/saturated"] == 0
