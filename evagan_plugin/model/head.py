"""Heads: what makes a waveform of the stack's last channels. They have no weights of their own."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evagan_plugin.config import GeneratorConfig, TransformConfig
from evagan_plugin.model.edges import Edges, Padding
from evagan_plugin.model.streaming import Past

INITIAL_RMS = 0.02
"""RMS of an untrained generator's waveforms. That of recordings is about 0.05, but most bins of their log-mels are far
below the loudest, and the mel loss counts them all alike.

With PyTorch's own weights (an RMS of 0.2, and an offset as large, of which only the lowest band of a log-mel hears)
the first few hundred steps are spent on becoming quiet, and may end in waveforms that fill tanh's range, whose gradient
is zero.
"""
INITIAL_SPREAD = 0.5
"""Standard deviation of an untrained iSTFT head's log-magnitudes and phases (rad)."""
LARGEST_LOG_MAGNITUDE = 6.0
"""Natural logarithm of the largest magnitude that an iSTFT head gives at 1,024 samples; in proportion to the length.
A sine of full scale has half of the window's sum, 256, so nothing within [-1, 1] is out of reach."""


class WaveformHead(nn.Module):
    """One channel of samples, bounded by tanh (HiFi-GAN, arXiv 2010.05646)."""

    channels, hop_length, first = 1, 1, 0
    initial_rms = INITIAL_RMS
    exact = False
    """Whether its input must have the weights' precision, also under autocast."""

    def initialize(self, bias: Tensor) -> None:
        """Leave the bias of the convolution before the head at 0."""

    def forward(self, x: Tensor, edges: Edges | None = None) -> Tensor:
        """Map (B, 1, T) to waveforms in (-1, 1) of that shape."""
        return torch.tanh(x)


class InverseTransformHead(nn.Module):
    """Log-magnitudes and phases of a short-time Fourier transform in, waveform out (iSTFTNet, arXiv 2203.02395).

    The real inverse transform is a product with a fixed basis, and frames are overlapped and added by shifts of whole
    hops: no complex tensors, so that it exports to ONNX with a dynamic length. The sum is divided by that of the
    squared windows which are there, at both ends too: the transform of a waveform comes back as that waveform.

    A causal one is that of a stream: a frame begins with its hop, so that no sample needs a later one, and before the
    first there was silence.

    Args:
        config: Length, hop and where frames are centred.
        causal: Whether a frame begins with its hop, wherever else they would be centred.
    """

    initial_rms = INITIAL_SPREAD
    exact = True
    """bfloat16 has three digits: too few for phases, and for samples that are sums of many terms of both signs."""

    def __init__(self, config: TransformConfig, causal: bool = False) -> None:
        super().__init__()
        self.n_fft, self.hop_length, self.causal = config.n_fft, config.hop_length, causal
        n_fft = config.n_fft
        self.bins = n_fft // 2 + 1
        self.channels = 2 * self.bins
        self.largest = LARGEST_LOG_MAGNITUDE + math.log(n_fft / 1024)
        # First sample of the output, counted from the start of the first frame.
        self.first = 0 if causal else n_fft // 2 if config.center else (n_fft - self.hop_length) // 2
        window = torch.hann_window(n_fft, dtype=torch.double)
        # Buffers outside the checkpoint: they follow from the config.
        power = window.square()
        if causal:  # the first frame is not the first that was: the sum of squared windows is the same everywhere
            window = window / power.view(-1, self.hop_length).sum(0).repeat(n_fft // self.hop_length)
        self.register_buffer("basis", (_inverse_basis(n_fft) * window).float(), persistent=False)
        self.register_buffer("power", power.float().view(1, 1, -1), persistent=False)

    def initialize(self, bias: Tensor) -> None:
        """Set the bias of the convolution before the head (channels,) for waveforms of about :data:`INITIAL_RMS`."""
        # With independent phases the mean square of samples is that of magnitudes / n_fft / (squared windows a sample).
        power = INITIAL_RMS**2 * self.n_fft * (3 / 8 * self.n_fft / self.hop_length)
        level = math.log(power) / 2 - INITIAL_SPREAD**2
        with torch.no_grad():
            bias[: self.bins] = level

    def forward(self, x: Tensor, edges: Edges | None = None) -> Tensor:
        """Map log-magnitudes and phases (B, n_fft + 2, F) to waveforms (B, 1, F * hop); in inference in [-1, 1]."""
        x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        log_magnitude, phase = x.split(self.bins, dim=1)
        magnitude = log_magnitude.clamp(max=self.largest).exp()
        wav = self.inverse(torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], dim=1), edges)
        # Not in training: a clipped sample has no gradient.
        return wav if self.training else wav.clamp(-1.0, 1.0)

    def inverse(self, spectrum: Tensor, edges: Edges | None = None) -> Tensor:
        """Map real and imaginary parts (B, n_fft + 2, F) to waveforms (B, 1, F * hop)."""
        # Only the length is needed of the ones: the sum of squared windows, at the ends too.
        ones = torch.ones_like(spectrum[:1, :1])
        if isinstance(edges, Padding):
            # Frames that begin before the last sample, and are later.
            before_the_end = -(-self.first // self.hop_length)
            spectrum = edges.cleared(spectrum, before_the_end)
            ones = edges.cleared(torch.ones_like(spectrum[:, :1]), before_the_end)
        frames = torch.matmul(spectrum.transpose(1, 2), self.basis.to(spectrum.dtype))
        wav = self._overlap_add(frames, edges)
        if not self.causal:
            wav = wav / self._overlap_add(ones.transpose(1, 2) * self.power, edges)
        return wav.unsqueeze(1)

    def _overlap_add(self, frames: Tensor, edges: Edges | None) -> Tensor:
        """Add frames (B, F, n_fft) up, a hop apart; the F * hop samples (B, T) from ``first`` on."""
        samples, tail = frames.shape[1] * self.hop_length, self.n_fft - self.hop_length
        parts = frames.unflatten(2, (-1, self.hop_length)).unbind(2)
        total = sum(F.pad(part, (0, 0, shift, len(parts) - shift)) for shift, part in enumerate(parts))
        if isinstance(edges, Past):
            return edges.overlapped(total.flatten(1)[:, : samples + tail], self.first, tail)
        return total.flatten(1)[:, self.first : self.first + samples]


def _inverse_basis(n_fft: int) -> Tensor:
    """Return the real inverse Fourier transform as a matrix (n_fft + 2, n_fft), for real and then imaginary parts."""
    bins = n_fft // 2 + 1
    unit = torch.eye(bins, dtype=torch.double)
    zero = torch.zeros_like(unit)
    return torch.cat([torch.fft.irfft(torch.complex(*parts), n_fft) for parts in ((unit, zero), (zero, unit))])


def build_head(config: GeneratorConfig) -> WaveformHead | InverseTransformHead:
    """Return the head that a config names."""
    return InverseTransformHead(config.head.istft, config.causal) if config.head.istft else WaveformHead()
