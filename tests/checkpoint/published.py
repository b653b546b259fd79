"""The published architectures from plain torch layers, under their published tensor names."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm as parametrized

STYLES = {"weight_g": nn.utils.weight_norm, "parametrizations": parametrized, "folded": lambda conv: conv}
"""Ways in which weights are published."""
Wrap = Callable[[nn.Module], nn.Module]


def quiet_leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1)


class Paired(nn.Module):
    """Residual block of HiFi-GAN V1 and V2."""

    def __init__(self, width: int, kernel: int, dilations: list[int], act: Callable, wrap: Wrap) -> None:
        super().__init__()
        self.act = act
        self.convs1 = nn.ModuleList(
            wrap(nn.Conv1d(width, width, kernel, dilation=d, padding="same")) for d in dilations
        )
        self.convs2 = nn.ModuleList(wrap(nn.Conv1d(width, width, kernel, padding="same")) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(self.act(first(self.act(x))))
        return x


class Single(nn.Module):
    """Residual block of HiFi-GAN V3."""

    def __init__(self, width: int, kernel: int, dilations: list[int], act: Callable, wrap: Wrap) -> None:
        super().__init__()
        self.act = act
        self.convs = nn.ModuleList(wrap(nn.Conv1d(width, width, kernel, dilation=d, padding="same")) for d in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = x + conv(self.act(x))
        return x


class HiFiGAN(nn.Module):
    """The authors' generator, described by their ``config.json``; Coqui TTS has the same names."""

    def __init__(self, config: dict, wrap: Wrap, speaker_channels: int = 0) -> None:
        super().__init__()
        width = config["upsample_initial_channel"]
        self.kernels = len(config["resblock_kernel_sizes"])
        self.conv_pre = wrap(nn.Conv1d(config["num_mels"], width, 7, padding=3))
        if speaker_channels:
            self.cond_layer = nn.Conv1d(speaker_channels, width, 1)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        block = {"1": Paired, "2": Single}[config["resblock"]]
        for rate, kernel in zip(config["upsample_rates"], config["upsample_kernel_sizes"], strict=True):
            self.ups.append(wrap(nn.ConvTranspose1d(width, width // 2, kernel, rate, padding=(kernel - rate) // 2)))
            width //= 2
            for size, dilations in zip(config["resblock_kernel_sizes"], config["resblock_dilation_sizes"], strict=True):
                self.resblocks.append(block(width, size, dilations, quiet_leaky, wrap))
        self.conv_post = wrap(nn.Conv1d(width, 1, 7, padding=3))

    def forward(self, mel: Tensor, speaker: Tensor | None = None) -> Tensor:
        x = self.conv_pre(mel)
        if speaker is not None:
            x = x + self.cond_layer(speaker)
        for index, up in enumerate(self.ups):
            x = up(quiet_leaky(x))
            blocks = self.resblocks[index * self.kernels : (index + 1) * self.kernels]
            x = torch.stack([block(x) for block in blocks]).mean(0)
        return torch.tanh(self.conv_post(F.leaky_relu(x)))


class EspnetBlock(nn.Module):
    """Residual block of ESPnet and ParallelWaveGAN: each convolution in a Sequential behind its activation."""

    def __init__(self, width: int, kernel: int, dilations: list[int], slope: float, paired: bool, wrap: Wrap) -> None:
        super().__init__()

        def layers(sizes: list[int]) -> nn.ModuleList:
            return nn.ModuleList(
                nn.Sequential(
                    nn.LeakyReLU(slope), wrap(nn.Conv1d(width, width, kernel, dilation=d, padding=d * (kernel // 2)))
                )
                for d in sizes
            )

        self.convs1 = layers(dilations)
        self.convs2 = layers([1] * len(dilations)) if paired else None

    def forward(self, x: Tensor) -> Tensor:
        for index, first in enumerate(self.convs1):
            y = first(x)
            x = x + (self.convs2[index](y) if self.convs2 is not None else y)
        return x


class EspnetHiFiGAN(nn.Module):
    """``HiFiGANGenerator`` of ESPnet and ParallelWaveGAN, described by ``generator_params``."""

    def __init__(self, params: dict, wrap: Wrap) -> None:
        super().__init__()
        width, kernel = params["channels"], params["kernel_size"]
        slope = params["nonlinear_activation_params"]["negative_slope"]
        self.input_conv = wrap(nn.Conv1d(params["in_channels"], width, kernel, padding=kernel // 2))
        self.upsamples, self.blocks = nn.ModuleList(), nn.ModuleList()
        for rate in params["upsample_scales"]:
            up = nn.ConvTranspose1d(
                width, width // 2, 2 * rate, rate, padding=rate // 2 + rate % 2, output_padding=rate % 2
            )
            self.upsamples.append(nn.Sequential(nn.LeakyReLU(slope), wrap(up)))
            width //= 2
            for size, dilations in zip(params["resblock_kernel_sizes"], params["resblock_dilations"], strict=True):
                self.blocks.append(EspnetBlock(width, size, dilations, slope, params["use_additional_convs"], wrap))
        self.output_conv = nn.Sequential(
            nn.LeakyReLU(), wrap(nn.Conv1d(width, 1, kernel, padding=kernel // 2)), nn.Tanh()
        )

    def forward(self, mel: Tensor) -> Tensor:
        x = self.input_conv(mel)
        parallel = len(self.blocks) // len(self.upsamples)
        for index, up in enumerate(self.upsamples):
            x = up(x)
            x = sum(block(x) for block in self.blocks[index * parallel : (index + 1) * parallel]) / parallel
        return self.output_conv(x)


class ConvNeXtBlock(nn.Module):
    """Block of Firefly-GAN's backbone."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(torch.rand(dim))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x).mT)
        return x + (self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))).mT


class OverChannels(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, F)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mT).mT


class Backbone(nn.Module):
    """Firefly-GAN's ConvNeXt encoder."""

    def __init__(self, bands: int, dims: list[int], depths: list[int]) -> None:
        super().__init__()
        self.downsample_layers, self.stages = nn.ModuleList(), nn.ModuleList()
        for index, (dim, depth) in enumerate(zip(dims, depths, strict=True)):
            conv = nn.Conv1d(dims[index - 1] if index else bands, dim, 1 if index else 7, padding=0 if index else 3)
            norm = OverChannels(dims[index - 1] if index else dim, eps=1e-6)
            self.downsample_layers.append(nn.Sequential(norm, conv) if index else nn.Sequential(conv, norm))
            self.stages.append(nn.Sequential(*(ConvNeXtBlock(dim) for _ in range(depth))))
        self.norm = OverChannels(dims[-1], eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        for change, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(change(x))
        return self.norm(x)


class Parallel(nn.Module):
    """Parallel residual blocks of Firefly-GAN's head."""

    def __init__(self, width: int, wrap: Wrap) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Paired(width, kernel, [1, 3, 5], F.silu, wrap) for kernel in (3, 7, 11))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([block(x) for block in self.blocks]).mean(0)


class Head(nn.Module):
    """Firefly-GAN's HiFi-GAN with SiLU."""

    def __init__(self, inputs: int, width: int, rates: list[int], kernels: list[int], ends: int, wrap: Wrap) -> None:
        super().__init__()
        self.conv_pre = wrap(nn.Conv1d(inputs, width, ends, padding=ends // 2))
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(rates, kernels, strict=True):
            self.ups.append(wrap(nn.ConvTranspose1d(width, width // 2, kernel, rate, padding=(kernel - rate) // 2)))
            width //= 2
            self.resblocks.append(Parallel(width, wrap))
        self.conv_post = wrap(nn.Conv1d(width, 1, ends, padding=ends // 2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_pre(x)
        for up, blocks in zip(self.ups, self.resblocks, strict=True):
            x = blocks(up(F.silu(x)))
        return torch.tanh(self.conv_post(F.silu(x)))


class Firefly(nn.Module):
    """Firefly-GAN's generator."""

    def __init__(
        self, dims: list[int], depths: list[int], width: int, rates: list[int], kernels: list[int], wrap: Wrap
    ) -> None:
        super().__init__()
        self.backbone = Backbone(128, dims, depths)
        self.head = Head(dims[-1], width, rates, kernels, 13, wrap)

    def forward(self, mel: Tensor) -> Tensor:
        return self.head(self.backbone(mel))


def loud(model: nn.Module, gain: float = 2.0) -> nn.Module:
    """Give a model's convolutions weights at which the output is no small number, so that differences show."""
    for name, parameter in model.named_parameters():
        if name.endswith(("weight_g", "original0")) or (name.endswith("weight") and parameter.dim() == 3):
            parameter.data *= gain
        elif name.endswith("bias"):
            nn.init.normal_(parameter, 0, 0.1)
    return model.eval()
