"""Small generators of every kind of layer, and the presets, narrow: in double precision, for what must be exact."""

import torch

from evagan_plugin.config import build_config, load_preset
from evagan_plugin.model.generator import EVAGANGenerator

NARROW = {"eva_gan_tiny_16k": {}, "eva_gan_tiny_16k_causal": {}}
"""Of presets, what is changed for a test; of those that are not here, widths. Kernels, rates and depths never are."""
KINDS = {
    "odd kernels": {"upsample_rates": [2, 4], "upsample_kernels": [5, 4], "resblock": 2},
    "long kernels": {"upsample_rates": [4, 2], "upsample_kernels": [13, 16], "context": "none"},
    "istft after a stage": {"upsample_rates": [2], "head": {"istft": {"n_fft": 16, "hop_length": 4}}},
    "istft, long and centred": {
        "upsample_rates": [],
        "head": {"istft": {"n_fft": 64, "hop_length": 8, "center": True}},
    },
    "a condition": {"global_channels": 3, "normalize": True, "activation": "leaky_relu"},
}


def preset_generator(name: str) -> EVAGANGenerator:
    """Return a preset in double precision, with fewer channels if it is large."""
    torch.manual_seed(0)
    generator = load_preset(name).generator
    context = {"dims": [8 * (index + 1) for index in range(len(generator.context.dims))]} if generator.context else None
    narrow = {"channels": 128} | ({"context": context | {"layer_scale": 0.5}} if context else {})
    config = build_config({"preset": name, "generator": NARROW.get(name, narrow)})
    return EVAGANGenerator.from_config(config).remove_weight_norm().double().eval()


def small_generator(**overrides) -> EVAGANGenerator:
    torch.manual_seed(0)
    settings = {
        "context": {"dims": [8, 12], "depths": [1, 2], "layer_scale": 0.5},
        "channels": 16,
        "upsample_rates": [4, 2],
        **overrides,
    }
    mel = {"hop_length": 8, "n_fft": 64, "win_length": 64, "n_mels": 10, "sample_rate": 8000}
    config = build_config({"mel": mel, "generator": settings, "discriminators": {"mrd": "none"}})
    return EVAGANGenerator.from_config(config).remove_weight_norm().double().eval()


def kind_overrides(kind: str, causal: bool) -> dict:
    """Return the settings of a kind; a causal transform cannot be centred."""
    if causal and "centred" in kind:
        return {
            "upsample_rates": [],
            "head": {"istft": {"n_fft": 64, "hop_length": 8}},
            "lookahead_frames": 4,
            "causal": True,
        }
    return {**KINDS[kind], "causal": causal}
