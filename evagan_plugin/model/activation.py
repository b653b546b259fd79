"""Convolution of an activated input that keeps only the pre-activation for its backward pass.

Autograd keeps two tensors for ``conv(silu(x))``: ``x`` for SiLU and ``silu(x)`` for the convolution (an in-place
SiLU changes nothing, its input is cloned). SiLU is cheap, so here it is computed again in the backward pass and
only ``x`` is kept: half the memory of a residual block.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evagan_plugin.model.convolution import Convolution, TransposedConvolution
from evagan_plugin.model.edges import Edges


class Activation(NamedTuple):
    """An activation by name, forward and backward."""

    name: str
    slope: float = 0.1

    def __call__(self, x: Tensor) -> Tensor:
        return F.silu(x) if self.name == "silu" else F.leaky_relu(x, self.slope)

    @property
    def power(self) -> float:
        """Mean square of the output for a standard normal input (SiLU: by numerical integration)."""
        return 0.3557 if self.name == "silu" else (1 + self.slope**2) / 2

    def backward(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Return the gradient before the activation, given the one after it and the pre-activation."""
        if self.name == "silu":
            return torch.ops.aten.silu_backward(gradient, x)
        return torch.ops.aten.leaky_relu_backward(gradient, x, self.slope, False)


class ConvolutionArguments(NamedTuple):
    """What ``aten::convolution`` takes after weight and bias."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int


class _ActivatedConvolution(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation, arguments: tuple) -> Tensor:
        return torch.convolution(activation(x), weight, bias, *arguments)

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        x, weight, bias, ctx.activation, ctx.arguments = inputs
        ctx.bias_sizes = None if bias is None else list(bias.shape)
        ctx.save_for_backward(x, weight)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple:
        x, weight = ctx.saved_tensors
        input_gradient, weight_gradient, bias_gradient = torch.ops.aten.convolution_backward(
            gradient,
            ctx.activation(x),
            weight,
            ctx.bias_sizes,
            *ctx.arguments,
            [ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.bias_sizes is not None and ctx.needs_input_grad[2]],
        )
        if input_gradient is not None:
            input_gradient = ctx.activation.backward(input_gradient, x)
        return input_gradient, weight_gradient, bias_gradient, None, None


def activated_convolution(
    x: Tensor,
    conv: nn.Conv1d | nn.ConvTranspose1d,
    activation: Activation,
    recompute: bool,
    edges: Edges | None = None,
) -> Tensor:
    """Return ``conv(activation(x))``; with ``recompute`` the backward pass keeps ``x`` alone.

    Args:
        x: Pre-activation (B, C, T).
        conv: Convolution, transposed or not, with zero padding: PyTorch's, or one of the generator's.
        activation: SiLU or LeakyReLU.
        recompute: Whether to compute the activation again in the backward pass.
        edges: Of a stream or a padded batch, whose convolution is one of the generator's.
    """
    if edges is not None:
        return conv(activation(x), edges)
    if not (recompute and torch.is_grad_enabled()):
        return conv(activation(x))
    weight, bias, steps = conv.weight, conv.bias, x.shape[-1]
    ours = isinstance(conv, Convolution | TransposedConvolution)
    x = conv.padded(x) if ours else x
    if torch.is_autocast_enabled(x.device.type):
        # Autocast does not look inside a custom function: cast as it casts for a convolution.
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    arguments = ConvolutionArguments(
        conv.stride, conv.padding, conv.dilation, conv.transposed, conv.output_padding, conv.groups
    )
    with torch.autocast(x.device.type, enabled=False):
        y = _ActivatedConvolution.apply(x, weight, bias, activation, arguments)
    return conv.cut(y, steps) if ours else y
