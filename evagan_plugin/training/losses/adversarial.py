"""Least-squares adversarial and feature matching losses (HiFi-GAN, section 2.4; EVA-GAN, section 3.4).

Each takes what a discriminator group returns and sums over its members.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from evagan_plugin.model.discriminators.base import DiscriminatorOutput


def generator_loss(fake: list[DiscriminatorOutput]) -> Tensor:
    """Return E[(D(G(s)) - 1)^2], summed over the members."""
    return sum((1.0 - _wide(output.logits)).square().mean() for output in fake)


def discriminator_loss(real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]) -> Tensor:
    """Return E[(D(x) - 1)^2 + D(G(s))^2], summed over the members."""
    return sum(
        (1.0 - _wide(of_real.logits)).square().mean() + _wide(of_fake.logits).square().mean()
        for of_real, of_fake in zip(real, fake, strict=True)
    )


def feature_matching_loss(real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]) -> Tensor:
    """Return sum_i 1/N_i |D_i(x) - D_i(G(s))|_1 over every layer of every member; the real side is a constant."""
    return sum(
        F.l1_loss(_wide(fake_map), _wide(real_map.detach()))
        for of_real, of_fake in zip(real, fake, strict=True)
        for real_map, fake_map in zip(of_real.feature_maps, of_fake.feature_maps, strict=True)
    )


def _wide(x: Tensor) -> Tensor:
    """Return half-precision outputs in float32: a loss is summed over too many elements for them."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
