"""Initial weights of convolutions, and weight normalisation put on and taken off.

With PyTorch's own weights and SiLU every layer weakens the signal against its biases. After seven stages of the
generator the waveform does not depend on the mel, and gradients that small are lost in the epsilon of Adam; after six
layers of a discriminator real and generated waveforms look alike. So the discriminators' layers, and the upsampler's
between mel and waveform outside its residual blocks, start with an output of a known RMS, the last one quiet
(``head.INITIAL_RMS``); and the generator's first layer starts with its input centred.
"""

import math

import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

Convolution = nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d


def normalized(conv: Convolution) -> nn.Module:
    """Give a convolution weight normalisation; its initial weights stay PyTorch's own.

    So do they in HiFi-GAN's code: there a normal distribution of deviation 0.01 is written into a weight that weight
    normalisation computes anew.
    """
    return weight_norm(conv)


def initialized(conv: Convolution, input_power: float, output_rms: float = 1.0) -> nn.Module:
    """Initialise a convolution so that its output has a given RMS, and give it weight normalisation.

    Args:
        conv: The convolution.
        input_power: Mean square of its input.
        output_rms: RMS of its output.
    """
    terms = conv.in_channels * math.prod(conv.kernel_size) / (math.prod(conv.stride) if conv.transposed else 1)
    nn.init.normal_(conv.weight, 0.0, output_rms * (terms * input_power) ** -0.5)
    nn.init.zeros_(conv.bias)
    return weight_norm(conv)


def center(conv: nn.Conv1d, mean: float) -> None:
    """Set the bias of a convolution so that an input of this mean gives an output of mean 0."""
    with torch.no_grad():
        conv.bias.copy_(-mean * conv.weight.sum(dim=(1, 2)))


def remove_weight_norm(module: nn.Module) -> None:
    """Fold weight normalisation into the weights of every layer below a module (for inference)."""
    for layer in module.modules():
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")
