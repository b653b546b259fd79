"""The training benchmark: what it times, and what it prints."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from evagan_plugin.benchmark.rivals import espnet_hifigan
from evagan_plugin.benchmark.training import PARTS, TrainedSystem, training_config
from evagan_plugin.errors import UsageError


def small_config():
    return training_config("eva_gan_tiny_16k", 8)


def test_both_steps_move_both_parts_and_parts_alone_move_nothing():
    system = TrainedSystem(small_config(), None, None, 1, "cpu")
    before = {name: value.clone() for name, value in system.gan.named_parameters()}
    parts = system.parts()
    assert tuple(parts) == PARTS
    for part in ("losses", "generator", "discriminator"):
        parts[part]()
    assert all(torch.equal(value, before[name]) for name, value in system.gan.named_parameters())
    parts["batch"]()
    moved = [not torch.equal(value, before[name]) for name, value in system.gan.named_parameters()]
    assert sum(moved) > 0.9 * len(moved)


@pytest.mark.slow
def test_the_command_prints_a_row_per_memory_format():
    command = [sys.executable, "-m", "evagan_plugin.benchmark", "training", "--no-hifigan", "--memory-format", "both"]
    options = ["--frames", "8", "--batch", "1", "--rounds", "1"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    header, *rows = done.stdout.splitlines()[1:]
    assert all(part in header for part in PARTS)
    assert [row.split()[:2] for row in rows] == [["eva_gan_tiny_16k", kind] for kind in ("nchw", "channels_last")]
    assert all(float(seconds) > 0 for row in rows for seconds in row.split()[2:])


def test_a_hop_that_hifigan_has_not_is_reported():
    config = small_config()
    object.__setattr__(config, "mel", replace(config.mel, hop_length=200))
    with pytest.raises(UsageError, match=r"256, 512, not 200: --no-hifigan$"):
        espnet_hifigan(config.mel, "--no-hifigan")
    with pytest.raises(UsageError, match=r"256, 512, not 200$"):
        espnet_hifigan(config.mel)
