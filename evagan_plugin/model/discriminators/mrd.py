"""Multi-resolution discriminator on STFT magnitudes (UnivNet, arXiv 2106.07889, section 2.2)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evagan_plugin.audio.mel import stft_magnitude
from evagan_plugin.config import ResolutionConfig
from evagan_plugin.model.discriminators.base import DiscriminatorGroup, SubDiscriminator


class ResolutionDiscriminator(SubDiscriminator):
    """Sees the linear magnitude spectrogram at one resolution.

    Args:
        n_fft: Length of the Fourier transform (samples).
        hop_length: Samples per frame.
        win_length: Length of the Hann window (samples).
        channels: Channels of every layer.
        activation: Activation between layers.
    """

    wide = True

    def __init__(self, n_fft: int, hop_length: int, win_length: int, channels: int, activation: str) -> None:
        layers = [nn.Conv2d(1, channels, (3, 9), padding=(1, 4))]
        layers += [nn.Conv2d(channels, channels, (3, 9), (1, 2), padding=(1, 4)) for _ in range(3)]
        layers.append(nn.Conv2d(channels, channels, 3, padding=1))
        layers.append(nn.Conv2d(channels, 1, 3, padding=1))
        super().__init__(layers, activation)
        self.n_fft, self.hop_length = n_fft, hop_length
        self.register_buffer("window", torch.hann_window(win_length), persistent=False)

    def view(self, wav: Tensor) -> Tensor:
        """Turn (B, 1, T) into magnitudes (B, 1, n_fft / 2 + 1, T / hop)."""
        # Frames lie as HiFi-GAN's do; a floor under the power keeps the root's gradient finite in silence.
        left = (self.n_fft - self.hop_length) // 2
        wav = F.pad(wav, (left, self.n_fft - self.hop_length - left), mode="reflect").squeeze(1)
        return stft_magnitude(wav, self.window, self.n_fft, self.hop_length, center=False, power_add=1e-9).unsqueeze(1)


class MultiResolutionDiscriminator(DiscriminatorGroup):
    """One :class:`ResolutionDiscriminator` per resolution.

    Args:
        config: Resolutions and channels; UnivNet's by default.
        activation: ``silu`` (EVA-GAN) or ``leaky_relu`` (UnivNet).
    """

    def __init__(self, config: ResolutionConfig | None = None, activation: str = "silu") -> None:
        config = config or ResolutionConfig()
        super().__init__(
            [ResolutionDiscriminator(*resolution, config.channels, activation) for resolution in config.resolutions]
        )
