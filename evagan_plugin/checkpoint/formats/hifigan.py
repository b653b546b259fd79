"""HiFi-GAN as its authors published it (V1, V2, V3): ``generator`` in a pickle, ``config.json``."""

from collections.abc import Mapping
from typing import Any

from evagan_plugin.checkpoint.formats.fields import take
from evagan_plugin.checkpoint.formats.names import block_names, indexed
from evagan_plugin.config import GeneratorConfig


def module_names(generator: GeneratorConfig) -> dict[str, str]:
    """Return our module for each of theirs."""
    return {
        "conv_pre": "upsampler.pre",
        "cond_layer": "upsampler.condition",
        **indexed(len(generator.upsample_rates), "ups.{i}", "upsampler.stages.{i}.upsample"),
        **block_names(
            generator, "resblocks.{index}.{kind}.{layer}", dilated="convs1" if generator.resblock == 1 else "convs"
        ),
        "conv_post": "upsampler.post",
    }


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return our settings for their ``config.json``."""
    where = "config"
    return {
        "preset": "hifigan_v1_22k",
        "mel": mel_settings(config),
        "generator": {
            "channels": take(config, "upsample_initial_channel", where),
            "upsample_rates": take(config, "upsample_rates", where),
            "upsample_kernels": take(config, "upsample_kernel_sizes", where),
            "resblock_kernels": take(config, "resblock_kernel_sizes", where),
            "resblock_dilations": take(config, "resblock_dilation_sizes", where),
            "resblock": int(take(config, "resblock", where)),
        },
    }


def mel_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return our mel settings for their ``config.json`` (BigVGAN's is the same)."""
    theirs = {"sample_rate": "sampling_rate", "hop_length": "hop_size", "win_length": "win_size", "n_mels": "num_mels"}
    theirs |= {"n_fft": "n_fft", "f_min": "fmin"}
    return {ours: take(config, name, "config") for ours, name in theirs.items()} | {"f_max": config.get("fmax")}
