"""A vocoder's mel, and the whole: frozen dataclasses with units and invariants.

:mod:`evagan_plugin.config.loading` reads and writes them (YAML, presets, overrides).
"""

import math
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from evagan_plugin.config.discriminators import DiscriminatorsConfig
from evagan_plugin.config.fields import STFT_RESOLUTIONS, STRICT, Size, Switchable
from evagan_plugin.config.generator import GeneratorConfig
from evagan_plugin.config.statistics import MelStatistics
from evagan_plugin.config.training import (
    BALANCED_MEL_WEIGHT,
    SUMMED_MEL_WEIGHT,
    BalancerConfig,
    LossWeights,
    TrainingConfig,
)
from evagan_plugin.config.vocos import VocosConfig
from evagan_plugin.errors import ConfigError


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
class VocoderConfig:
    """A whole vocoder: its mel, its networks, and how it is trained."""

    mel: MelConfig
    generator: Annotated[GeneratorConfig | None, Switchable]
    """``none`` where another one's generator is in its place: ``vocos``."""
    vocos: Annotated[VocosConfig | None, Switchable] = None
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
        if (self.generator is None) == (self.vocos is None):
            raise ValueError(
                "generator and vocos are both given: say generator: none beside vocos"
                if self.vocos
                else "generator is none: give it, or the section vocos"
            )
        mel = self.mel
        if self.vocos and (mel.n_fft % 2 or mel.n_fft < 2 * mel.hop_length or (mel.hop_length % 2 and not mel.center)):
            raise ValueError(
                f"vocos has a head of the mel's n_fft {mel.n_fft} and hop_length {mel.hop_length}: n_fft must be even, "
                "and two hops at least, hop_length even where center is false"
            )
        factor, hop = self.generator.upsample_factor if self.generator else self.mel.hop_length, self.mel.hop_length
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

    @property
    def own_generator(self) -> GeneratorConfig:
        """The section ``generator``, for what works with our generator alone (raises :class:`ConfigError`)."""
        if self.generator is None:
            raise ConfigError(
                "this vocoder is a Vocos (section vocos): ESPnet's vocoder task trains it (vocoder: vocos), and "
                "`evagan synth` synthesizes with it"
            )
        return self.generator

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
