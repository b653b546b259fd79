"""Spectral losses between waveforms (B, 1, T)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evagan_plugin.audio.mel import MelSpectrogram, stft_magnitude
from evagan_plugin.config import STFT_RESOLUTIONS, MelConfig


class MelLoss(nn.Module):
    """E[|phi(x) - phi(G(s))|_1] with phi the log-mel (HiFi-GAN, section 2.4), over the whole band.

    Args:
        config: Framing and bands; range and logarithm are widened by :meth:`MelConfig.full_band`.
    """

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.mel = MelSpectrogram(config.full_band())

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Compare generated and real waveforms (B, 1, T); a scalar."""
        return F.l1_loss(self.mel(fake), self.mel(real))


class MultiResolutionSTFTLoss(nn.Module):
    """Spectral convergence plus L1 of log magnitudes, mean over resolutions (Parallel WaveGAN, equations 4 to 6).

    Args:
        resolutions: (n_fft, hop_length, win_length) of each (samples).
    """

    def __init__(
        self,
        resolutions: tuple[tuple[int, int, int], ...] = STFT_RESOLUTIONS,
    ) -> None:
        super().__init__()
        self.resolutions = resolutions
        for index, (_, _, win_length) in enumerate(resolutions):
            self.register_buffer(f"window_{index}", torch.hann_window(win_length), persistent=False)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Compare generated and real waveforms (B, 1, T); a scalar."""
        total = fake.new_zeros(())
        for index, (n_fft, hop_length, _) in enumerate(self.resolutions):
            window = getattr(self, f"window_{index}")
            ours, theirs = (
                stft_magnitude(wav.squeeze(1), window, n_fft, hop_length, center=True, power_floor=1e-8)
                for wav in (fake, real)
            )
            convergence = torch.linalg.norm(theirs - ours, dim=(1, 2)) / torch.linalg.norm(theirs, dim=(1, 2))
            total = total + convergence.mean() + F.l1_loss(ours.log(), theirs.log())
        return total / len(self.resolutions)
