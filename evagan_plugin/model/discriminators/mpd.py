"""Multi-period discriminator (HiFi-GAN, arXiv 2010.05646, section 2.3)."""

from torch import Tensor, nn
from torch.nn import functional as F

from evagan_plugin.config import PeriodConfig
from evagan_plugin.model.discriminators.base import DiscriminatorGroup, SubDiscriminator


class PeriodDiscriminator(SubDiscriminator):
    """Sees the waveform folded at a period: samples that are a period apart become neighbours.

    Args:
        period: Samples per row.
        config: Channels.
        activation: Activation between layers.
    """

    def __init__(self, period: int, config: PeriodConfig, activation: str) -> None:
        widths = [min(config.channels * factor, config.max_channels) for factor in (1, 4, 16, 32)]
        layers, width = [], 1
        for out in widths:
            layers.append(nn.Conv2d(width, out, (5, 1), (3, 1), padding=(2, 0)))
            width = out
        layers.append(nn.Conv2d(width, width, (5, 1), padding=(2, 0)))
        layers.append(nn.Conv2d(width, 1, (3, 1), padding=(1, 0)))
        super().__init__(layers, activation)
        self.period = period

    def view(self, wav: Tensor) -> Tensor:
        """Fold (B, 1, T) to (B, 1, T / period, period); the end is reflected to a whole row."""
        wav = F.pad(wav, (0, -wav.shape[-1] % self.period), mode="reflect")
        return wav.view(wav.shape[0], 1, -1, self.period)


class MultiPeriodDiscriminator(DiscriminatorGroup):
    """One :class:`PeriodDiscriminator` per period.

    Args:
        config: Periods and channels; HiFi-GAN's by default.
        activation: ``silu`` (EVA-GAN) or ``leaky_relu`` (HiFi-GAN).
    """

    def __init__(self, config: PeriodConfig | None = None, activation: str = "silu") -> None:
        config = config or PeriodConfig()
        super().__init__([PeriodDiscriminator(period, config, activation) for period in config.periods])
