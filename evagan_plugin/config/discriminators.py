"""The discriminators of a vocoder."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from evagan_plugin.config.fields import STFT_RESOLUTIONS, STRICT, PositiveInts, Switchable


@dataclass(frozen=True, config=STRICT)
class PeriodConfig:
    """Multi-period discriminator (HiFi-GAN, section 2.3)."""

    periods: PositiveInts = (2, 3, 5, 7, 11)
    """Samples at which each sub-discriminator folds the waveform."""
    channels: PositiveInt = 32
    """Channels of the first layer; they grow fourfold per layer."""
    max_channels: PositiveInt = 1024
    """Upper bound of the growth."""


@dataclass(frozen=True, config=STRICT)
class ResolutionConfig:
    """Multi-resolution discriminator on STFT magnitudes (UnivNet, section 2.2)."""

    resolutions: Annotated[tuple[tuple[PositiveInt, PositiveInt, PositiveInt], ...], Field(min_length=1)] = (
        STFT_RESOLUTIONS
    )
    """(n_fft, hop_length, win_length) of each sub-discriminator (samples)."""
    channels: PositiveInt = 32
    """Channels of every layer."""

    def __post_init__(self) -> None:
        for n_fft, hop_length, win_length in self.resolutions:
            if not hop_length <= win_length <= n_fft:
                raise ValueError(
                    f"resolution [{n_fft}, {hop_length}, {win_length}] must be [n_fft >= hop <= win <= n_fft]"
                )


@dataclass(frozen=True, config=STRICT)
class DiscriminatorsConfig:
    """Which discriminators there are, and their sizes."""

    mpd: Annotated[PeriodConfig | None, Switchable] = PeriodConfig()
    """Multi-period discriminator, or ``none``."""
    mrd: Annotated[ResolutionConfig | None, Switchable] = ResolutionConfig()
    """Multi-resolution discriminator, or ``none``."""
    activation: Literal["silu", "leaky_relu"] = "silu"
    """Activation inside both (EVA-GAN: SiLU)."""

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("mpd and mrd are both none: adversarial training needs one")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the discriminators that are there."""
        return tuple(name for name in ("mpd", "mrd") if getattr(self, name) is not None)
