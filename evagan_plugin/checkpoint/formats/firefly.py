"""Firefly-GAN (Fish Audio): ConvNeXt encoder ``backbone``, HiFi-GAN ``head``; bare or a Lightning checkpoint."""

from collections.abc import Mapping
from typing import Any

from evagan_plugin.checkpoint.formats.names import block_names, indexed
from evagan_plugin.config import ContextConfig, GeneratorConfig

INSIDE_BLOCK = {
    "dwconv": "depthwise",
    "norm": "norm",
    "pwconv1": "expand",
    "pwconv2": "project",
    "gamma": "layer_scale",
}


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a vocoder config of ours as it is, and without one the preset of the published base model."""
    return dict(config) or {"preset": "firefly_gan_base_44k"}


def module_names(generator: GeneratorConfig) -> dict[str, str]:
    """Return our module for each of theirs."""
    return {
        "head.conv_pre": "upsampler.pre",
        **indexed(len(generator.upsample_rates), "head.ups.{i}", "upsampler.stages.{i}.upsample"),
        **block_names(generator, "head.resblocks.{stage}.blocks.{block}.{kind}.{layer}"),
        "head.conv_post": "upsampler.post",
        **(_backbone(generator.context) if generator.context else {}),
    }


def _backbone(context: ContextConfig) -> dict[str, str]:
    names = {"backbone.norm": "context.norm"}
    layer = 0
    for stage, depth in enumerate(context.depths):
        for entry in range(2):
            for theirs in ("downsample_layers", "channel_layers"):
                names[f"backbone.{theirs}.{stage}.{entry}"] = f"context.layers.{layer + entry}"
        layer += 2
        for block in range(depth):
            for theirs, ours in INSIDE_BLOCK.items():
                names[f"backbone.stages.{stage}.{block}.{theirs}"] = f"context.layers.{layer + block}.{ours}"
        layer += depth
    return names
