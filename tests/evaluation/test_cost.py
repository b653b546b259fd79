"""Counting from the config alone comes to what the modules themselves have and do."""

import dataclasses
import subprocess
import sys

import pytest
import torch

from evagan_plugin.config import build_config, list_presets, load_preset
from evagan_plugin.evaluation.cost import inspect_generator
from evagan_plugin.evaluation.speed import gflops_per_second
from evagan_plugin.model.generator import EVAGANGenerator

VARIANTS = {
    "no context": {"context": "none"},
    "a condition": {"global_channels": 5},
    "normalised mels": {"normalize": True},
    "no plain convolutions": {"resblock": 2, "resblock_kernels": [3, 5], "resblock_dilations": [[1, 2], [2, 6, 12]]},
    "an iSTFT head": {"upsample_rates": [4, 4], "head": {"istft": {"n_fft": 64, "hop_length": 16}}},
    "a head alone": {
        "upsample_rates": [],
        "head": {"istft": {"n_fft": 1024, "hop_length": 256, "center": True}},
    },
    "causal": {"causal": True, "lookahead_frames": 4, "upsample_rates": [4, 64], "upsample_kernels": [7, 100]},
    "other kernels": {"pre_kernel": 3, "post_kernel": 5, "upsample_rates": [4, 64], "upsample_kernels": [7, 100]},
}


def check(config):
    with torch.device("meta"):
        generator = EVAGANGenerator.from_config(config).remove_weight_norm().eval()
    facts = inspect_generator(config)
    assert facts.parameters == sum(parameter.numel() for parameter in generator.parameters())
    assert facts.context_parameters == sum(parameter.numel() for parameter in generator.context.parameters())
    assert facts.gflops_per_second == pytest.approx(gflops_per_second(generator, config.mel), rel=1e-9)


@pytest.mark.parametrize("preset", list_presets())
def test_a_preset_is_counted_as_it_is_built_with_context_and_without(preset):
    config = load_preset(preset)
    check(config)
    check(dataclasses.replace(config, generator=dataclasses.replace(config.generator, context=None)))


@pytest.mark.parametrize("overrides", VARIANTS.values(), ids=VARIANTS)
def test_every_option_is_counted(overrides):
    check(build_config({"preset": "eva_gan_mini_16k", "generator": overrides}))


def test_counting_needs_no_pytorch():
    code = (
        "import sys; from evagan_plugin.cli import app; sys.argv = ['evagan', 'info'];"
        "app(standalone_mode=False); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    table, loaded = done.stdout.splitlines()[:-1], done.stdout.splitlines()[-1]
    assert [line.split()[0] for line in table[1:]] == list_presets()
    assert loaded == "False"
