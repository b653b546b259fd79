"""Upsampling stack: HiFi-GAN's (arXiv 2010.05646, section 2.2) with SiLU and little memory (EVA-GAN, section 3.2)."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from evagan_plugin.config import GeneratorConfig
from evagan_plugin.model.activation import Activation, activated_convolution
from evagan_plugin.model.convolution import Convolution, TransposedConvolution
from evagan_plugin.model.edges import Edges, added
from evagan_plugin.model.head import build_head
from evagan_plugin.model.init import initialized, normalized

LAST_SLOPE = 0.01
"""Slope of LeakyReLU before the last convolution: published HiFi-GAN weights were trained with this one there."""


class ResidualBlock(nn.Module):
    """For each dilation: activation, dilated convolution, (activation, convolution,) plus the identity.

    Args:
        channels: Channels.
        kernel_size: Kernel of every convolution (samples).
        dilations: Dilation of the first convolution of each pair.
        activation: Activation before each convolution.
        recompute: Whether activations are computed again in the backward pass.
        paired: Whether a plain convolution follows each dilated one.
        lookahead: Samples of the future that each convolution sees: 0, or half of its kernel when None.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        dilations: tuple[int, ...],
        activation: Activation,
        recompute: bool,
        paired: bool,
        lookahead: int | None,
    ) -> None:
        super().__init__()
        self.activation, self.recompute = activation, recompute
        self.dilated = nn.ModuleList(
            normalized(Convolution(channels, channels, kernel_size, dilation=d, lookahead=lookahead)) for d in dilations
        )
        self.plain = nn.ModuleList(
            normalized(Convolution(channels, channels, kernel_size, lookahead=lookahead))
            for _ in (dilations if paired else ())
        )

    @property
    def delay(self) -> int:
        """Samples that the last convolution of a stream is behind the first one's input."""
        return sum(conv.lookahead for conv in (*self.dilated, *self.plain))

    def forward(self, x: Tensor, edges: Edges | None = None) -> Tensor:
        """Map (B, C, T) to (B, C, T)."""
        for index, dilated in enumerate(self.dilated):
            y = activated_convolution(x, dilated, self.activation, self.recompute, edges)
            if self.plain:
                y = activated_convolution(y, self.plain[index], self.activation, self.recompute, edges)
            x = added(edges, (x, y))
        return x


class UpsamplingStage(nn.Module):
    """Activation and a transposed convolution that halves the channels, then the mean of parallel residual blocks.

    Args:
        channels: Channels of the input; the output has half of them.
        rate: Factor in time.
        kernel_size: Kernel of the transposed convolution (samples of the output).
        config: Residual blocks, activation and memory.
    """

    def __init__(self, channels: int, rate: int, kernel_size: int, config: GeneratorConfig) -> None:
        super().__init__()
        self.activation = Activation(config.activation, config.leaky_slope)
        self.recompute = config.recompute_activation
        upsample = TransposedConvolution(channels, channels // 2, kernel_size, rate, config.causal)
        self.upsample = initialized(upsample, self.activation.power)
        settings = self.activation, self.recompute, config.resblock == 1, 0 if config.causal else None
        self.blocks = nn.ModuleList(
            ResidualBlock(channels // 2, kernel, dilations, *settings)
            for kernel, dilations in zip(config.resblock_kernels, config.dilations, strict=True)
        )

    def delay(self, steps: int) -> int:
        """Return by how many steps the output of a stream is late whose input is late by ``steps``."""
        return steps * self.upsample.rate + self.upsample.first + max(block.delay for block in self.blocks)

    def forward(self, x: Tensor, edges: Edges | None = None) -> Tensor:
        """Map (B, C, T) to (B, C / 2, T * rate)."""
        x = activated_convolution(x, self.upsample, self.activation, self.recompute, edges)
        return added(edges, (block(x, edges) for block in self.blocks)) / len(self.blocks)


class Upsampler(nn.Module):
    """Frames in, waveform out.

    Args:
        in_channels: Channels of the input: the context module's, or mel bands.
        config: Channels, rates, kernels, activation and memory.
        input_power: Mean square of the input, for the initial weights.
    """

    def __init__(self, in_channels: int, config: GeneratorConfig, input_power: float) -> None:
        super().__init__()
        self.recompute = config.recompute_activation
        self.checkpointing = config.checkpointing
        channels, kernel = config.channels, config.pre_kernel
        pre = Convolution(in_channels, channels, kernel, lookahead=config.lookaheads[-1])
        self.pre = initialized(pre, input_power)
        self.condition = nn.Conv1d(config.global_channels, channels, 1) if config.global_channels else None
        self.stages = nn.ModuleList(
            UpsamplingStage(channels >> index, rate, kernel, config)
            for index, (rate, kernel) in enumerate(zip(config.upsample_rates, config.kernels, strict=True))
        )
        self.post_activation = Activation(config.activation, LAST_SLOPE)
        channels, kernel = channels >> len(self.stages), config.post_kernel
        self.head = build_head(config)
        post = Convolution(channels, self.head.channels, kernel, lookahead=0 if config.causal else None)
        self.post = initialized(post, self.post_activation.power, self.head.initial_rms)
        self.head.initialize(self.post.bias)

    def forward(self, x: Tensor, condition: Tensor | None = None, edges: Edges | None = None) -> Tensor:
        """Map features (B, C, F), with a condition (B, global_channels, 1) or None, to waveforms (B, 1, F * hop)."""
        x = self.pre(x, edges)
        if self.condition is not None and condition is not None:
            x = x + self.condition(condition)
        for stage in self.stages:
            if self.checkpointing and self.training and torch.is_grad_enabled() and edges is None:
                x = checkpoint(stage, x, use_reentrant=False, preserve_rng_state=False)
            else:
                x = stage(x, edges)
        if not self.head.exact or x.dtype == self.post.bias.dtype:
            return self._head(x, edges)
        with torch.autocast(x.device.type, enabled=False):
            return self._head(x.to(self.post.bias.dtype), edges)

    def delay(self, steps: int) -> int:
        """Return by how many samples the waveform of a stream is late where ``pre`` is late by so many frames."""
        for stage in self.stages:
            steps = stage.delay(steps)
        return (steps + self.post.lookahead) * self.head.hop_length + self.head.first

    def _head(self, x: Tensor, edges: Edges | None) -> Tensor:
        return self.head(activated_convolution(x, self.post, self.post_activation, self.recompute, edges), edges)
