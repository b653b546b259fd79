"""Discriminators of a vocoder, by the names that configs and logs use."""

from torch import nn

from evagan_plugin.config import DiscriminatorsConfig
from evagan_plugin.model.discriminators.base import DiscriminatorGroup, DiscriminatorOutput, SubDiscriminator
from evagan_plugin.model.discriminators.mpd import MultiPeriodDiscriminator
from evagan_plugin.model.discriminators.mrd import MultiResolutionDiscriminator

__all__ = [
    "DiscriminatorGroup",
    "DiscriminatorOutput",
    "MultiPeriodDiscriminator",
    "MultiResolutionDiscriminator",
    "SubDiscriminator",
    "build_discriminators",
]

KINDS = {"mpd": MultiPeriodDiscriminator, "mrd": MultiResolutionDiscriminator}


def build_discriminators(config: DiscriminatorsConfig) -> nn.ModuleDict:
    """Return the discriminators that a config has, by name."""
    return nn.ModuleDict({name: KINDS[name](getattr(config, name), config.activation) for name in config.names})
