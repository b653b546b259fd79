"""A generator's fields, with units and invariants: its context module, stack and head."""

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from evagan_plugin.config.fields import STRICT, PositiveInts, Size, Sizes, Switchable


def _nested(value: object) -> object:
    """Read a plain list of numbers as a list with that one list in it."""
    flat = isinstance(value, list | tuple) and not any(isinstance(entry, list | tuple) for entry in value)
    return [value] if flat else value


Dilations = Annotated[tuple[PositiveInts, ...], BeforeValidator(_nested), Field(min_length=1)]


@dataclass(frozen=True, config=STRICT)
class ContextConfig:
    """Context-aware module: a ConvNeXt encoder at frame rate (EVA-GAN, section 3.1)."""

    dims: Sizes
    """Channels of each stage."""
    depths: Annotated[tuple[Annotated[int, Field(gt=0, le=1000)], ...], Field(min_length=1)]
    """ConvNeXt blocks of each stage."""
    kernel_size: Size = 7
    """Frames that the stem and each depthwise convolution see."""
    drop_path: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Probability that training skips the last block; it falls linearly to 0 at the first (stochastic depth)."""
    layer_scale: PositiveFloat = 1e-6
    """First value of the scale after each block."""

    def __post_init__(self) -> None:
        if len(self.dims) != len(self.depths):
            raise ValueError(f"dims has {len(self.dims)} stages, depths has {len(self.depths)}")
        _check_odd(kernel_size=self.kernel_size)


@dataclass(frozen=True, config=STRICT)
class TransformConfig:
    """The short-time transform whose magnitudes and phases an iSTFT head gives (iSTFTNet, arXiv 2203.02395)."""

    n_fft: Size
    """Length of the Fourier transform and of its Hann window (samples)."""
    hop_length: PositiveInt
    """Samples from one frame to the next; what the upsampling stages leave of the mel's hop length."""
    center: bool = False
    """True: frame k is centred at sample k * hop, as those of a centred mel are.
    False: at the middle of the hop, as HiFi-GAN's mel and every upsampling stage have it."""

    def __post_init__(self) -> None:
        # At the last sample of a centred transform the only window left is that of the last frame.
        least = 4 if self.center else 2
        if self.n_fft % self.hop_length or self.n_fft < least * self.hop_length or self.n_fft % 2:
            raise ValueError(
                f"n_fft {self.n_fft} must be even and a multiple of hop_length {self.hop_length}, "
                f"{least} times it at least where center is {str(self.center).lower()}"
            )
        if not self.center and self.hop_length % 2:
            raise ValueError(f"hop_length {self.hop_length} must be even where center is false")


def _named_head(value: object) -> object:
    """Read ``waveform`` as the head without an inverse transform."""
    return {} if value == "waveform" else value


@dataclass(frozen=True, config=STRICT)
class HeadConfig:
    """What makes a waveform of the stack's last channels: a convolution to one channel and tanh (``waveform``), or
    an inverse short-time Fourier transform (``istft``)."""

    istft: Annotated[TransformConfig | None, Switchable] = None
    """Magnitudes and phases instead of samples: takes the place of the last, thin stages."""

    @property
    def hop_length(self) -> int:
        """Samples that the head makes of one of its frames."""
        return self.istft.hop_length if self.istft else 1


@dataclass(frozen=True, config=STRICT)
class GeneratorConfig:
    """The generator: context-aware module, then the upsampling stack (EVA-GAN, section 3; HiFi-GAN, section 2.2)."""

    context: Annotated[ContextConfig | None, Switchable]
    """``none`` leaves the context-aware module out: HiFi-GAN."""
    channels: Size
    """Channels before the first upsampling; each stage halves them."""
    upsample_rates: tuple[Annotated[int, Field(ge=2)], ...]
    """Factor of each stage; their product, times the hop length of an iSTFT head, is the mel's hop length."""
    upsample_kernels: Sizes | None = None
    """Kernel of each transposed convolution; twice its rate when null."""
    pre_kernel: Size = 7
    """Kernel of the convolution before the stages (frames)."""
    post_kernel: Size = 7
    """Kernel of the convolution after the stages (samples, or frames of an iSTFT head)."""
    head: Annotated[HeadConfig, BeforeValidator(_named_head)] = HeadConfig()
    """``waveform`` (the paper's), or ``istft: {n_fft: ..., hop_length: ...}``."""
    resblock_kernels: Sizes = (3, 7, 11)
    """Kernels of a stage's parallel residual blocks."""
    resblock_dilations: Dilations = ((1, 3, 5),)
    """Dilations inside each residual block: one list for all blocks, or a list for each."""
    resblock: Literal[1, 2] = 1
    """Kind of residual block: 1 has a plain convolution after each dilated one, 2 has none (HiFi-GAN, V3)."""
    activation: Literal["silu", "leaky_relu"] = "silu"
    """Activation of the whole stack."""
    leaky_slope: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Slope of ``leaky_relu`` below zero."""
    recompute_activation: bool = True
    """Keep only pre-activations for the backward pass and compute activations again in it: half the memory."""
    checkpointing: bool = False
    """Keep only the input of each upsampling stage and compute the stage again in the backward pass."""
    global_channels: Annotated[int, Field(ge=0, le=2**16)] = 0
    """Channels of a global condition such as a speaker embedding; 0 for none."""
    normalize: bool = False
    """Normalise mels first, with a mean and a scale per band that are kept with the weights (ParallelWaveGAN);
    a new model begins with those that natural log-mels have about."""
    causal: bool = False
    """No sample sees a frame after its own: every layer is padded at its beginning only, for streaming."""
    lookahead_frames: NonNegativeInt = 0
    """Frames after its own that a sample of a causal generator may see: the first layers look ahead, each by half of
    its kernel at most, until these are used up."""

    def __post_init__(self) -> None:
        self._check_causality()
        stages = len(self.upsample_rates)
        if not stages and not self.head.istft:
            raise ValueError("upsample_rates is empty: the waveform head needs stages, an istft head may do without")
        if self.channels % 2**stages:
            raise ValueError(f"channels {self.channels} cannot be halved {stages} times (once per upsample rate)")
        if len(self.kernels) != stages:
            raise ValueError(f"upsample_kernels has {len(self.kernels)} entries, upsample_rates has {stages}")
        for rate, kernel in zip(self.upsample_rates, self.kernels, strict=True):
            if kernel < rate:
                raise ValueError(f"upsample kernel {kernel} is smaller than its rate {rate}: samples would be skipped")
        if len(self.resblock_dilations) not in (1, len(self.resblock_kernels)):
            raise ValueError(
                f"resblock_dilations has {len(self.resblock_dilations)} lists for {len(self.resblock_kernels)} "
                "resblock_kernels: give one list, or one per kernel"
            )
        _check_odd(pre_kernel=self.pre_kernel, post_kernel=self.post_kernel)
        _check_odd(**{f"resblock_kernels[{i}]": kernel for i, kernel in enumerate(self.resblock_kernels)})

    def _check_causality(self) -> None:
        if self.lookahead_frames and not self.causal:
            raise ValueError("lookahead_frames is for causal generators (causal: true): any other has its own")
        if self.lookahead_frames > sum(self._reaches):
            raise ValueError(
                f"lookahead_frames {self.lookahead_frames} is more than the {sum(self._reaches)} that all kernels at "
                "frame rate see ahead"
            )
        if self.causal and self.head.istft and self.head.istft.center:
            raise ValueError("head.istft.center must be false where causal is true: a centred transform looks ahead")

    @property
    def _reaches(self) -> list[int]:
        context = self.context
        blocks = [context.kernel_size // 2] * (1 + sum(context.depths)) if context else []
        return [*blocks, self.pre_kernel // 2]

    @property
    def lookaheads(self) -> list[int]:
        """Frames that each convolution along frames sees ahead: the context module's stem and blocks, the one before
        the stages."""
        if not self.causal:
            return self._reaches
        left, found = self.lookahead_frames, []
        for reach in self._reaches:
            found.append(min(reach, left))
            left -= found[-1]
        return found

    @property
    def kernels(self) -> tuple[int, ...]:
        """Kernel of each transposed convolution (samples of its output)."""
        return self.upsample_kernels or tuple(2 * rate for rate in self.upsample_rates)

    @property
    def dilations(self) -> tuple[tuple[int, ...], ...]:
        """Dilations of each of a stage's residual blocks."""
        shared = len(self.resblock_dilations) == 1
        return self.resblock_dilations * (len(self.resblock_kernels) if shared else 1)

    @property
    def upsample_factor(self) -> int:
        """Samples per frame."""
        return math.prod(self.upsample_rates) * self.head.hop_length


def _check_odd(**kernels: int) -> None:
    for name, kernel in kernels.items():
        if kernel % 2 == 0:
            raise ValueError(f"{name} {kernel} must be odd: an even kernel shifts the signal")
