"""Convolutions of the generator: as many steps out as go in (times the rate), with zeros at both ends.

How far a layer sees ahead is its own: half of its kernel, or less in a causal generator.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from evagan_plugin.model.edges import Edges
from evagan_plugin.model.streaming import Past


class Convolution(nn.Conv1d):
    """1-D convolution that keeps the length.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps.
        dilation: Steps from one tap to the next.
        groups: As PyTorch's.
        lookahead: Steps of the future that an output sees; half of the kernel when None.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        dilation: int = 1,
        groups: int = 1,
        lookahead: int | None = None,
    ) -> None:
        span = dilation * (kernel_size - 1)
        lookahead = span // 2 if lookahead is None else lookahead
        even = lookahead if 2 * lookahead == span else 0
        super().__init__(in_channels, out_channels, kernel_size, padding=even, dilation=dilation, groups=groups)
        self.lookback, self.lookahead = span - lookahead, lookahead

    def padded(self, x: Tensor) -> Tensor:
        """Return the input with those zeros that PyTorch's layer does not add: where the two ends differ."""
        return x if self.lookback == self.lookahead else F.pad(x, (self.lookback, self.lookahead))

    def cut(self, y: Tensor, steps: int) -> Tensor:
        """Return what there is of the output for an input of so many steps: all of it."""
        return y

    def forward(self, x: Tensor, edges: Edges | None = None) -> Tensor:
        """Map (B, C, T) to (B, C', T)."""
        if not isinstance(edges, Past):
            return super().forward(self.padded(x if edges is None else edges.cleared(x, self.lookahead)))
        x = edges.extended(x, self.lookback, self.lookahead)
        if x.shape[-1] <= self.lookback + self.lookahead:
            return x.new_empty(x.shape[0], self.out_channels, 0)
        return F.conv1d(x, self.weight, self.bias, dilation=self.dilation, groups=self.groups)


class TransposedConvolution(nn.ConvTranspose1d):
    """1-D transposed convolution that makes ``rate`` steps of each.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps (steps of the output).
        rate: Factor in time.
        causal: Whether an output sees no input that comes after it; else inputs lie in the middle of their taps.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, rate: int, causal: bool = False) -> None:
        excess = kernel_size - rate
        self.first = 0 if causal else (excess + 1) // 2
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            rate,
            padding=self.first,
            output_padding=0 if causal else excess % 2,
        )
        self.rate, self.tail, self.causal = rate, excess, causal

    def padded(self, x: Tensor) -> Tensor:
        """Return the input: it needs no zeros."""
        return x

    def cut(self, y: Tensor, steps: int) -> Tensor:
        """Return what there is of the output for an input of so many steps: without what comes after the last."""
        return y[..., : steps * self.rate] if self.causal else y

    def forward(self, x: Tensor, edges: Edges | None = None) -> Tensor:
        """Map (B, C, T) to (B, C', T * rate)."""
        if not isinstance(edges, Past):
            x = x if edges is None else edges.cleared(x, -(-self.first // self.rate))
            return self.cut(super().forward(x), x.shape[-1])
        if x.shape[-1]:
            y = F.conv_transpose1d(x, self.weight, stride=self.rate)
        else:
            y = x.new_zeros(x.shape[0], self.out_channels, self.tail)
        return edges.overlapped(y, self.first, self.tail) + self.bias.unsqueeze(-1)
