"""Sizes of Vocos (arXiv 2306.00814), a rival that trains in the place of our generator."""

from pydantic import PositiveFloat
from pydantic.dataclasses import dataclass

from evagan_plugin.config.fields import STRICT, Size


@dataclass(frozen=True, config=STRICT)
class VocosConfig:
    """Backbone of the package ``vocos``, its names. The head follows from the mel: its transform, hop and centring."""

    dim: Size
    """Channels between the ConvNeXt blocks."""
    intermediate_dim: Size
    """Channels inside each block."""
    num_layers: Size
    """ConvNeXt blocks."""
    layer_scale_init_value: PositiveFloat | None = None
    """First value of the scale after each block; 1 / num_layers when null."""
