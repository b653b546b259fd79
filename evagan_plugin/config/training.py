"""How a vocoder is trained: losses and their weights, training items, optimizers."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from evagan_plugin.config.fields import STRICT, Switchable

BALANCED_MEL_WEIGHT = 500.0
"""Large: the gradient of a log-mel loss lies nearly all in quiet bins, where the logarithm is steep."""
SUMMED_MEL_WEIGHT = 45.0
"""HiFi-GAN, section 2.4."""
OCTAVE = 12
"""Semitones."""
Range = Annotated[tuple[float, float] | None, Switchable]
"""Lowest and highest value, or ``off``."""


def _zero_if_off(value: object) -> object:
    return 0.0 if value is False or value in ("none", "off") else value


@dataclass(frozen=True, config=STRICT)
class LossWeights:
    """Weight of each kind of loss; 0 leaves the loss out.

    With the balancer on, a weight is the loss's part of the gradient at the generator's output, in proportion to the
    other weights (EnCodec, section 3.4). With ``balancer: off`` it is the loss's coefficient in a plain sum (HiFi-GAN,
    section 2.4).
    """

    mel: NonNegativeFloat | None = None
    """L1 between full-band log-mels (HiFi-GAN, section 2.4). Null: 500 with the balancer, HiFi-GAN's 45 without."""
    feature_matching: NonNegativeFloat = 2.0
    """L1 between feature maps, for each discriminator (HiFi-GAN, section 2.4)."""
    adversarial: NonNegativeFloat = 1.0
    """Least squares, for each discriminator (HiFi-GAN, section 2.4)."""
    stft: NonNegativeFloat = 0.0
    """Multi-resolution STFT loss (Parallel WaveGAN, section 2.2)."""

    def __post_init__(self) -> None:
        if self.mel == 0 and not self.feature_matching + self.adversarial + self.stft:
            raise ValueError("every loss has weight 0")


@dataclass(frozen=True, config=STRICT)
class BalancerConfig:
    """The loss balancer (EnCodec, section 3.4); the weights are in ``losses``."""

    total_norm: PositiveFloat = 1.0
    """Sum of the average norms of the balanced gradients, per item; an upper bound of the norm of their sum."""
    decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999
    """Decay per step of the moving average of gradient norms."""
    epsilon: PositiveFloat = 1e-12
    """Added to the average norm that a gradient is divided by."""


@dataclass(frozen=True, config=STRICT)
class TrainingConfig:
    """What one training item is, and how the steps go."""

    segment_frames: PositiveInt = 256
    """Mel frames of a training item (EVA-GAN, section 3.3: the context window)."""
    discriminator_frames: PositiveInt | None = None
    """Frames of a random crop that the discriminators see; the whole item when null."""
    bf16: bool = False
    """Compute in bfloat16 by autocast; weights, losses and the balancer stay in float32."""
    discriminator_start_steps: NonNegativeInt = 0
    """Generator steps on the mel and STFT losses alone before the discriminators start (ParallelWaveGAN); they are
    counted with those of a checkpoint that training starts from, where it holds a whole training."""
    ema: Annotated[Annotated[float, Field(gt=0.0, lt=1.0)] | None, Switchable] = None
    """Decay per step of a moving average of the generator's weights, e.g. 0.999: what is validated and shipped; ``off``
    takes the weights themselves."""
    gain_db: Range = None
    """Lowest and highest gain of a training item (dB), drawn evenly; no item is raised beyond full scale."""
    pitch_shift: Range = None
    """Lowest and highest shift of a training item's pitch (semitones), drawn evenly; by resampling, so that tempo and
    formants shift, too. At most an octave."""
    mel_smoothing: Annotated[NonNegativeFloat, BeforeValidator(_zero_if_off)] = 0.0
    """Largest width (frames) of the smoothing of the mel that an item is generated from, drawn evenly from 0 on, for
    the smoothed mels of acoustic models (arXiv 2409.02517); the losses compare with the recording. 0 for none."""

    @property
    def changes_audio(self) -> tuple[str, ...]:
        """Names of the fields in force that change an item's waveform: mels that come with it would no longer fit."""
        return tuple(name for name in ("gain_db", "pitch_shift") if getattr(self, name))

    def __post_init__(self) -> None:
        for name in self.changes_audio:
            lowest, highest = getattr(self, name)
            if lowest > highest:
                raise ValueError(f"{name} [{lowest:g}, {highest:g}]: the lowest comes first")
        if self.pitch_shift and max(map(abs, self.pitch_shift)) > OCTAVE:
            raise ValueError(f"pitch_shift {list(self.pitch_shift)}: at most {OCTAVE} semitones either way")
        if self.discriminator_frames is not None and self.discriminator_frames > self.segment_frames:
            raise ValueError(
                f"discriminator_frames {self.discriminator_frames} is more than segment_frames {self.segment_frames}"
            )


@dataclass(frozen=True, config=STRICT)
class OptimizationConfig:
    """Optimizers, schedule and batch: the defaults of every host (HiFi-GAN, section 3.1, where nothing else is said).

    No section of a vocoder's config, because a host has options of its own for them: a number stands in one place only.
    """

    optimizer: Literal["AdamW"] = "AdamW"
    """Class in ``torch.optim``, for generator and discriminators."""
    learning_rate: PositiveFloat = 2e-4
    """Learning rate of the first epoch."""
    betas: tuple[float, float] = (0.8, 0.99)
    """Decay per step of AdamW's averages of the gradient and of its square."""
    weight_decay: NonNegativeFloat = 0.01
    """AdamW's decoupled weight decay, relative to the learning rate."""
    fused: bool = True
    """One kernel for all weights, on CPUs and GPUs, in the place of one or more for each."""
    lr_decay: PositiveFloat = 0.999
    """Factor of the learning rate per epoch (``ExponentialLR``)."""
    batch_size: PositiveInt = 16
    """Training items per step."""
    grad_clip: PositiveFloat = 1000.0
    """Largest norm of a gradient, of the generator's and of the discriminators' each; a guard that few steps meet."""
