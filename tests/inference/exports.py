"""Small vocoders of hop 8, for exports and engines."""

import torch

from evagan_plugin.config import VocoderConfig, build_config
from evagan_plugin.model.generator import EVAGANGenerator

MEL = {"sample_rate": 8000, "n_fft": 64, "hop_length": 8, "win_length": 64, "n_mels": 10}


def small_config(**generator) -> VocoderConfig:
    context = {"dims": [12], "depths": [2], "layer_scale": 0.125}
    sizes = {
        "context": context,
        "channels": 16,
        "upsample_rates": [4, 2],
        "resblock_kernels": [3],
        "resblock_dilations": [1, 2],
    }
    return build_config({"mel": MEL, "generator": {**sizes, **generator}, "discriminators": {"mrd": "none"}})


def small_model(**generator) -> tuple[VocoderConfig, EVAGANGenerator]:
    config = small_config(**generator)
    torch.manual_seed(0)
    return config, EVAGANGenerator.from_config(config)
