"""A vocoder's mel, generator and whole: frozen dataclasses with units and invariants.

:mod:`evagan_plugin.config.loading` reads and writes them (YAML, presets, overrides).
"""

import math
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from evagan_plugin.config.discriminators import DiscriminatorsConfig
from evagan_plugin.config.fields import STFT_RESOLUTIONS, STRICT, PositiveInts, Size, Sizes, Switchable
from evagan_plugin.config.statistics import MelStatistics
from evagan_plugin.config.training import (
    BALANCED_MEL_WEIGHT,
    SUMMED_MEL_WEIGHT,
    BalancerConfig,
    LossWeights,
    TrainingConfig,
)


def _nested(value: object) -> object:
    """Read a plain list of numbers as a list with that one list in it."""
    flat = isinstance(value, list | tuple) and not any(isinstance(entry, list | tuple) for entry in value)
    return [value] if flat else value


Dilations = Annotated[tuple[PositiveInts, ...], BeforeValidator(_nested), Field(min_length=1)]


@dataclass(frozen=True, config=STRICT)
class MelConfig:
    """Every choice that makes two log-mel spectrograms differ (HiFi-GAN's and BigVGAN's convention by default)."""

    sample_rate: PositiveInt = 22050
    """Samples per second (Hz)."""
    n_fft: Size = 1024
    """Length of the Fourier transform (samples)."""
    hop_length: PositiveInt = 256
    """Samples from one frame to the next."""
    win_length: PositiveInt = 1024
    """Length of the Hann window (samples)."""
    n_mels: Annotated[Size, Field(le=2**12)] = 80
    """Number of mel bands."""
    f_min: NonNegativeFloat = 0.0
    """Lower edge of the lowest band (Hz)."""
    f_max: PositiveFloat | None = None
    """Upper edge of the highest band (Hz); half the sample rate when null."""
    center: bool = False
    """True: frame k is centred at sample k * hop and there are T // hop + 1 frames (ESPnet, librosa).
    False: (n_fft - hop) / 2 samples of reflection on both sides and T // hop frames (HiFi-GAN)."""
    scale: Literal["slaney", "htk"] = "slaney"
    """Formula of the mel scale."""
    filter_norm: Literal["slaney", "none"] = "slaney"
    """``slaney`` divides each triangle by its width in Hz."""
    power_add: NonNegativeFloat = 1e-9
    """Added to the power spectrum before its root is taken."""
    power_floor: NonNegativeFloat = 0.0
    """The power spectrum is clamped to at least this before its root is taken."""
    log: Literal["ln", "log10", "db"] = "ln"
    """Logarithm of the band magnitudes; ``db`` is 20 log10."""
    floor: PositiveFloat = 1e-5
    """Band magnitudes are clamped to at least this before the logarithm."""
    ceiling: PositiveFloat | None = None
    """Band magnitudes are clamped to at most this before the logarithm; null clamps none."""
    gain: PositiveFloat = 1.0
    """Factor after the logarithm (Coqui's ``spec_gain``)."""
    preemphasis: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Coefficient c of x[t] - c x[t-1], applied to the waveform first; 0 switches it off."""

    def __post_init__(self) -> None:
        nyquist = self.sample_rate / 2
        if not self.f_min < self.upper_edge <= nyquist:
            raise ValueError(f"bands must lie within 0 to {nyquist:g} Hz, not f_min {self.f_min:g}, f_max {self.f_max}")
        if self.win_length > self.n_fft:
            raise ValueError(f"win_length {self.win_length} is longer than n_fft {self.n_fft}")
        if self.hop_length > self.win_length:
            raise ValueError(f"hop_length {self.hop_length} is longer than win_length {self.win_length}")
        if self.ceiling is not None and self.ceiling <= self.floor:
            raise ValueError(f"ceiling {self.ceiling:g} is not above floor {self.floor:g}")
        if self.n_mels > self.n_fft // 2 + 1:
            raise ValueError(f"n_mels {self.n_mels} is more than the {self.n_fft // 2 + 1} bins of n_fft {self.n_fft}")

    @property
    def upper_edge(self) -> float:
        """Upper edge of the highest band (Hz)."""
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    @property
    def log_scale(self) -> float:
        """Factor that makes the natural logarithm the one of ``log`` and ``gain``."""
        return self.gain * {"ln": 1.0, "log10": 1 / math.log(10), "db": 20 / math.log(10)}[self.log]

    def full_band(self) -> "MelConfig":
        """Return the same framing over the whole band in natural logarithms: what losses compare."""
        return replace(self, f_min=0.0, f_max=None, log="ln", gain=1.0, floor=1e-5, ceiling=None, preemphasis=0.0)


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

    def __post_init__(self) -> None:
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


@dataclass(frozen=True, config=STRICT)
class VocoderConfig:
    """A whole vocoder: its mel, its networks, and how it is trained."""

    mel: MelConfig
    generator: GeneratorConfig
    discriminators: DiscriminatorsConfig = DiscriminatorsConfig()
    losses: LossWeights = LossWeights()
    """Weights of the losses, with the balancer and without it."""
    balancer: Annotated[BalancerConfig | None, Switchable] = BalancerConfig()
    """``off`` trains on the plain weighted sum."""
    training: TrainingConfig = TrainingConfig()
    mel_statistics: MelStatistics | None = None
    """Of the mels that the weights beside it were trained on; null where they are not known."""

    def __post_init__(self) -> None:
        if self.losses.mel is None:
            mel = SUMMED_MEL_WEIGHT if self.balancer is None else BALANCED_MEL_WEIGHT
            object.__setattr__(self, "losses", replace(self.losses, mel=mel))
        factor, hop = self.generator.upsample_factor, self.mel.hop_length
        if factor != hop:
            rates, istft = " x ".join(map(str, self.generator.upsample_rates)), self.generator.head.istft
            factors = [f"upsample_rates {rates}"] if rates else []
            factors += [f"head.istft.hop_length {istft.hop_length}"] if istft else []
            raise ValueError(f"generator.{' x '.join(factors)} = {factor} is not mel.hop_length {hop}")
        start = self.training.discriminator_start_steps
        if start and not {"mel", "stft"} & self.weights.keys():
            raise ValueError(
                f"training.discriminator_start_steps {start}: before it there is nothing to train on, losses.mel and "
                "losses.stft are 0"
            )
        whole = self.training.segment_frames
        stft = STFT_RESOLUTIONS if "stft" in self.weights else ()
        self._check_long_enough(whole, [self.mel.n_fft, *(n_fft for n_fft, _, _ in stft)])
        mrd = self.discriminators.mrd
        if mrd is not None:
            self._check_long_enough(self.training.discriminator_frames or whole, [r[0] for r in mrd.resolutions])

    def _check_long_enough(self, frames: int, transforms: list[int]) -> None:
        samples = frames * self.mel.hop_length
        if samples <= max(transforms) // 2:
            raise ValueError(
                f"training items of {frames} frames ({samples} samples) are too short for an STFT of {max(transforms)}"
            )

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each loss by its log name (``mel``, ``adv_mpd``, ...), without those of weight 0."""
        losses = self.losses
        weights = {"mel": losses.mel, "stft": losses.stft}
        for name in self.discriminators.names:
            weights |= {f"adv_{name}": losses.adversarial, f"fm_{name}": losses.feature_matching}
        return {name: weight for name, weight in weights.items() if weight}


def _check_odd(**kernels: int) -> None:
    for name, kernel in kernels.items():
        if kernel % 2 == 0:
            raise ValueError(f"{name} {kernel} must be odd: an even kernel shifts the signal")
