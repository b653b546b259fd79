"""The mel spectrogram: one definition for input, losses and metrics, and the contract between two of them."""

import math

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from evagan_plugin.config import MelConfig
from evagan_plugin.errors import EvaganError, UsageError

__all__ = ["MelConfig", "MelConversion", "MelMismatchError", "MelSpectrogram", "metric_mel", "stft_magnitude"]


def fixed_fields(config: MelConfig) -> dict[str, object]:
    """Return the fields, by name, that no affine map and no clamp can mend where two definitions differ."""
    return {
        "sample_rate": config.sample_rate,
        "n_fft": config.n_fft,
        "hop_length": config.hop_length,
        "win_length": config.win_length,
        "n_mels": config.n_mels,
        "f_min": config.f_min,
        "f_max": config.upper_edge,
        "center": config.center,
        "scale": config.scale,
        "filter_norm": config.filter_norm,
        "preemphasis": config.preemphasis,
    }


class MelSpectrogram(nn.Module):
    """Log-mel spectrogram of a waveform, as a :class:`MelConfig` says.

    With the default fields it equals HiFi-GAN's ``meldataset.mel_spectrogram``; with ``center: true`` it frames
    like librosa and ESPnet.
    """

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        filters = torchaudio.functional.melscale_fbanks(
            n_freqs=config.n_fft // 2 + 1,
            f_min=config.f_min,
            f_max=config.upper_edge,
            n_mels=config.n_mels,
            sample_rate=config.sample_rate,
            norm="slaney" if config.filter_norm == "slaney" else None,
            mel_scale=config.scale,
        )
        # Float buffers outside the checkpoint: they follow from the config.
        self.register_buffer("filters", filters.t().contiguous(), persistent=False)
        self.register_buffer("window", torch.hann_window(config.win_length), persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        """Compute log-mels.

        Args:
            wav: Waveforms in [-1, 1] (B, 1, T); T longer than n_fft / 2.

        Returns:
            Tensor: Log-mels (B, n_mels, F) with F = T // hop, or T // hop + 1 where frames are centred.

        Raises:
            UsageError: If the waveform is too short for the reflection at its ends.
        """
        wav = wav.squeeze(1).to(self.window.dtype)
        if coefficient := self.config.preemphasis:
            wav = torch.cat([wav[..., :1], wav[..., 1:] - coefficient * wav[..., :-1]], dim=-1)
        left = self.padding[0]
        if wav.shape[-1] <= left:
            raise UsageError(f"{wav.shape[-1]} samples are too few for a mel frame: more than {left} are needed")
        return self.of_padded(F.pad(wav, self.padding, mode="reflect"))

    @property
    def padding(self) -> tuple[int, int]:
        """Samples of reflection before and after a waveform."""
        config = self.config
        if config.center:
            return config.n_fft // 2, config.n_fft // 2
        # An odd remainder goes to the right, so that T // hop frames come out whatever n_fft - hop is.
        left = (config.n_fft - config.hop_length) // 2
        return left, config.n_fft - config.hop_length - left

    def of_padded(self, wav: Tensor) -> Tensor:
        """Return the log-mels (B, n_mels, F) of waveforms (B, T) with all that is put before and after them."""
        config = self.config
        magnitude = stft_magnitude(
            wav, self.window, config.n_fft, config.hop_length, False, config.power_add, config.power_floor
        )
        bands = torch.matmul(self.filters, magnitude)
        return config.log_scale * torch.log(bands.clamp(config.floor, config.ceiling))

    def frames(self, samples: int) -> int:
        """Return the number of frames of a waveform of so many samples."""
        return samples // self.config.hop_length + (1 if self.config.center else 0)


def metric_mel(sample_rate: int) -> MelConfig:
    """Return the mel of scores and pictures: 80 bands over the full band, ln, floor 1e-5, windows of 43 to 64 ms.

    Args:
        sample_rate: Of the audio, in Hz. 1024 points and hop 256 up to 24 kHz, 2048 and 512 above.
    """
    n_fft = 1024 if sample_rate <= 24000 else 2048
    return MelConfig(
        sample_rate=sample_rate,
        n_fft=n_fft,
        hop_length=n_fft // 4,
        win_length=n_fft,
        n_mels=80,
        f_min=0.0,
        power_add=0.0,
        floor=1e-5,
    )


def stft_magnitude(
    wav: Tensor,
    window: Tensor,
    n_fft: int,
    hop_length: int,
    center: bool,
    power_add: float = 0.0,
    power_floor: float = 0.0,
) -> Tensor:
    """Return STFT magnitudes (B, n_fft / 2 + 1, F) of waveforms (B, T); the window is padded to n_fft samples.

    ``power_add`` is added to the power and ``power_floor`` bounds it from below, so that the root has a gradient.
    """
    # cuFFT has no bfloat16: under autocast the transform stays in float32.
    with torch.autocast(wav.device.type, enabled=False):
        spectrum = torch.stft(
            wav.float() if wav.dtype in (torch.bfloat16, torch.float16) else wav,
            n_fft,
            hop_length,
            window.numel(),
            window,
            center=center,
            pad_mode="reflect",
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()
        if power_add:
            power = power + power_add
        if power_floor:
            power = power.clamp(min=power_floor)
        return power.sqrt()


class MelMismatchError(EvaganError):
    """Features that a vocoder cannot take; ``fields`` has (name, theirs, ours) of each difference."""

    def __init__(self, fields: list[tuple[str, object, object]], source: str, target: str) -> None:
        self.fields = fields
        differences = "; ".join(f"{name} is {theirs} there and {ours} here" for name, theirs, ours in fields)
        super().__init__(f"the mel of {source} does not fit {target}: {differences}")


class MelConversion(nn.Module):
    """Turn the log-mels of one definition into those of another.

    ``power_add`` and ``power_floor``, which keep the root of the power away from zero, may differ: they matter far
    below the level of a recording's noise only.

    Logarithm base, gain, a lower floor and a higher ceiling are affine maps and a clamp; mean-variance normalised
    features are first restored by their statistics.

    Args:
        source: What the features are.
        target: What the vocoder was trained on.
        mean: Mean of normalised features (n_mels,), or None.
        scale: Standard deviation of normalised features (n_mels,), or None.
        source_name: How the features are called in an error, e.g. ``"the acoustic model"``.
        target_name: How the vocoder is called in an error.

    Raises:
        MelMismatchError: If the definitions differ in what no map mends; it lists every such field.
    """

    def __init__(
        self,
        source: MelConfig,
        target: MelConfig,
        mean: Tensor | None = None,
        scale: Tensor | None = None,
        source_name: str = "the acoustic model",
        target_name: str = "the vocoder",
    ) -> None:
        super().__init__()
        fixed = fixed_fields(target)
        differing = [
            (name, theirs, fixed[name]) for name, theirs in fixed_fields(source).items() if theirs != fixed[name]
        ]
        if source.floor > target.floor:
            differing.append(("floor", source.floor, target.floor))
        if source.ceiling is not None and (target.ceiling is None or source.ceiling < target.ceiling):
            differing.append(("ceiling", source.ceiling, target.ceiling))
        if differing:
            raise MelMismatchError(differing, source_name, target_name)
        self.factor, self.source_floor = target.log_scale / source.log_scale, source.floor
        self.lowest = target.log_scale * math.log(target.floor)
        self.highest = target.ceiling and target.log_scale * math.log(target.ceiling)
        self.register_buffer("mean", None if mean is None else mean.float().view(-1, 1), persistent=False)
        self.register_buffer("scale", None if scale is None else scale.float().view(-1, 1), persistent=False)

    def forward(self, mel: Tensor) -> Tensor:
        """Convert log-mels (..., n_mels, F)."""
        return self.unclamped(mel).clamp(self.lowest, self.highest)

    def unclamped(self, mel: Tensor) -> Tensor:
        """Convert log-mels (..., n_mels, F) but for the clamp: what lies below even ``source_floor`` is no such mel."""
        if self.scale is not None:
            mel = mel * self.scale
        if self.mean is not None:
            mel = mel + self.mean
        return mel * self.factor
