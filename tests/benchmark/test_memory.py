"""The memory benchmark: what it counts, and that ours reaches what is promised."""

import subprocess
import sys

import pytest

from evagan_plugin.benchmark.memory import VARIANTS, _prepare, saved_bytes


def test_saved_bytes_reach_the_promise():
    kept = {}
    for variant in VARIANTS:
        gan, wav = _prepare("eva_gan_mini_16k", variant, frames=32, batch=1, device="cpu")
        kept[variant] = saved_bytes(gan, wav)
    plain = kept["SiLU, plain"]
    assert kept["SiLU, recomputed"] <= 0.60 * plain
    assert kept["SiLU, recomputed + checkpointing"] <= 0.35 * plain


def test_saved_bytes_grow_with_the_frames():
    short, long = (
        saved_bytes(*_prepare("eva_gan_mini_16k", "SiLU, plain", frames=frames, batch=1, device="cpu"))
        for frames in (32, 64)
    )
    assert 1.9 * short < long < 2.1 * short


@pytest.mark.slow
def test_the_command_prints_a_row_per_variant():
    command = [sys.executable, "-m", "evagan_plugin.benchmark", "memory", "--preset", "eva_gan_mini_16k"]
    done = subprocess.run([*command, "--frames", "16", "--rounds", "1"], capture_output=True, text=True, check=True)
    for variant in VARIANTS:
        assert variant in done.stdout
