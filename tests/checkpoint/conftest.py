"""A small checkpoint of ours."""

import pytest
import torch

from evagan_plugin.checkpoint.native import save_checkpoint
from evagan_plugin.config import build_config
from evagan_plugin.model.generator import EVAGANGenerator


@pytest.fixture(scope="module")
def config():
    return build_config({"preset": "eva_gan_mini_16k", "generator": {"channels": 64, "resblock_kernels": [3]}})


@pytest.fixture(scope="module")
def generator(config):
    torch.manual_seed(0)
    return EVAGANGenerator.from_config(config).eval()


@pytest.fixture
def saved(tmp_path, config, generator):
    save_checkpoint(tmp_path / "model", config, generator)
    return tmp_path / "model"
