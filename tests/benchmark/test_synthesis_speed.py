"""The speed benchmark: operations agree with an equal network, times belong to equal work, bad options are refused."""

import pytest
import torch
import typer
from typer.testing import CliRunner

from evagan_plugin.benchmark.speed import espnet_hifigan, speed
from evagan_plugin.config import load_preset
from evagan_plugin.errors import UsageError
from evagan_plugin.evaluation.cost import inspect_generator
from evagan_plugin.evaluation.speed import audio_seconds, frames_of, gflops_per_second, measure

pytest.importorskip("espnet2", reason="the extra 'espnet' is not installed")


def test_espnets_hifigan_costs_what_the_same_network_costs_as_a_preset():
    preset = load_preset("hifigan_v1_22k")
    theirs = gflops_per_second(espnet_hifigan(), preset.mel)
    assert theirs == pytest.approx(inspect_generator(preset).gflops_per_second, rel=1e-3)


def test_rounds_are_interleaved_and_the_first_does_not_count():
    order = []
    systems = {name: (lambda name=name: order.append(name) or torch.zeros(1)) for name in ("a", "b")}
    times = measure(systems, rounds=2)
    assert order == ["a", "b"] * 3
    assert {name: len(taken) for name, taken in times.items()} == {"a": 2, "b": 2}


def test_audio_is_whole_frames():
    mel = load_preset("eva_gan_mini_16k").mel
    assert frames_of(mel, 1.0) == 62
    assert audio_seconds(mel, 1.0) == pytest.approx(62 * 256 / 16000)
    assert frames_of(mel, 1e-6) == 1


def test_the_command_prints_both_side_by_side():
    app = typer.Typer()
    app.command()(speed)
    threads = torch.get_num_threads()
    try:
        result = CliRunner().invoke(
            app, ["--preset", "eva_gan_mini_16k", "--seconds", "0.1", "--rounds", "1", "--threads", "1"]
        )
    finally:
        torch.set_num_threads(threads)
    lines = [line.split() for line in result.stdout.splitlines()[-2:]]
    assert lines[0][:3] == ["HiFi-GAN", "v1", "(ESPnet)"]
    assert lines[0][-2] == "1.00"
    assert lines[1][0] == "eva_gan_mini_16k"
    factor, ratio, gflops = map(float, lines[1][-3:])
    assert ratio == pytest.approx(factor / float(lines[0][-3]), rel=0.05)
    assert gflops == pytest.approx(inspect_generator(load_preset("eva_gan_mini_16k")).gflops_per_second, abs=0.1)


def test_nothing_to_measure_is_refused():
    with pytest.raises(UsageError, match="must be positive"):
        speed(seconds=0.0)
