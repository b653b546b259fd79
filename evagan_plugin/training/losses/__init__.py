"""Losses with names; their weights live in the config alone."""

from evagan_plugin.training.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss
from evagan_plugin.training.losses.balancer import LossBalancer
from evagan_plugin.training.losses.spectral import MelLoss, MultiResolutionSTFTLoss

__all__ = [
    "LossBalancer",
    "MelLoss",
    "MultiResolutionSTFTLoss",
    "discriminator_loss",
    "feature_matching_loss",
    "generator_loss",
]
