"""Context-aware module: a ConvNeXt encoder over mel frames (EVA-GAN, section 3.1; ConvNeXt, arXiv 2201.03545)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from evagan_plugin.config import ContextConfig
from evagan_plugin.model.convolution import Convolution
from evagan_plugin.model.edges import Edges, added


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, F)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, LayerNorm, Linear to four times the width, GELU, Linear back; residual.

    Args:
        dim: Channels.
        kernel_size: Kernel of the depthwise convolution (frames).
        layer_scale: First value of the learned scale after the block.
        drop_path: Probability that an item skips the block in training (stochastic depth).
        lookahead: Frames of the future that the depthwise convolution sees; half of its kernel when None.
    """

    def __init__(
        self, dim: int, kernel_size: int, layer_scale: float, drop_path: float, lookahead: int | None = None
    ) -> None:
        super().__init__()
        self.depthwise = Convolution(dim, dim, kernel_size, groups=dim, lookahead=lookahead)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.expand = nn.Linear(dim, 4 * dim)
        self.activation = nn.GELU()
        self.project = nn.Linear(4 * dim, dim)
        self.layer_scale = nn.Parameter(torch.full((dim,), layer_scale))
        self.drop_path = drop_path

    def forward(self, x: Tensor, edges: Edges | None = None) -> Tensor:
        """Map (B, C, F) to (B, C, F)."""
        y = self.depthwise(x, edges).transpose(1, 2)
        y = self.layer_scale * self.project(self.activation(self.expand(self.norm(y))))
        y = y.transpose(1, 2)
        if self.training and self.drop_path:
            keep = 1.0 - self.drop_path
            y = y * (torch.rand(x.shape[0], 1, 1, device=x.device) < keep).to(y.dtype) / keep
        return added(edges, (x, y))


class ContextModule(nn.Module):
    """ConvNeXt encoder at frame rate: mel bands in, the widest stage's channels out, length kept.

    Args:
        n_mels: Mel bands.
        config: Widths, depths and the rest.
        lookaheads: Frames of the future that the stem sees, and then each block.
    """

    def __init__(self, n_mels: int, config: ContextConfig, lookaheads: Sequence[int]) -> None:
        super().__init__()
        blocks, ahead = sum(config.depths), iter(lookaheads)
        rates = [config.drop_path * index / max(blocks - 1, 1) for index in range(blocks)]
        layers: list[nn.Module] = []
        width = n_mels
        for index, (dim, depth) in enumerate(zip(config.dims, config.depths, strict=True)):
            if index == 0:
                layers.append(Convolution(width, dim, config.kernel_size, lookahead=next(ahead)))
                layers.append(ChannelNorm(dim, eps=1e-6))
            else:
                layers.append(ChannelNorm(width, eps=1e-6))
                layers.append(Convolution(width, dim, 1))
            for _ in range(depth):
                layers.append(ConvNeXtBlock(dim, config.kernel_size, config.layer_scale, rates.pop(0), next(ahead)))
            width = dim
        self.layers = nn.Sequential(*layers)
        self.norm = ChannelNorm(width, eps=1e-6)
        self.apply(_initialize)

    def forward(self, mel: Tensor, edges: Edges | None = None) -> Tensor:
        """Map log-mels (B, n_mels, F) to context features (B, dims[-1], F)."""
        x = mel
        for layer in self.layers:
            x = layer(x) if isinstance(layer, ChannelNorm) else layer(x, edges)
        return self.norm(x)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
