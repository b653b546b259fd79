"""First weights of convolutions, and weight normalisation put on and taken off."""

import math

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

Convolution = nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d


def normalised(conv: Convolution) -> nn.Module:
    """Give a convolution weight normalisation; its first weights stay PyTorch's own.

    So do they in HiFi-GAN's code: there a normal distribution of deviation 0.01 is written into a weight that weight
    normalisation computes anew.
    """
    return weight_norm(conv)


def preserving(conv: Convolution, input_power: float) -> nn.Module:
    """Initialise a convolution so that its output has variance 1, and give it weight normalisation.

    With PyTorch's own weights and SiLU every layer weakens the signal against its biases. Behind seven stages of the
    generator the waveform does not depend on the mel, and gradients that small are lost in the epsilon of Adam; behind
    six layers of a discriminator real and generated waveforms look alike, and it does not learn to tell them apart.

    Args:
        conv: The convolution.
        input_power: Mean square of what it sees.
    """
    terms = conv.in_channels * math.prod(conv.kernel_size) / (math.prod(conv.stride) if conv.transposed else 1)
    nn.init.normal_(conv.weight, 0.0, (terms * input_power) ** -0.5)
    nn.init.zeros_(conv.bias)
    return weight_norm(conv)


def remove_weight_norm(module: nn.Module) -> None:
    """Fold weight normalisation into the weights of every layer below a module (for inference)."""
    for layer in module.modules():
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")
