"""Log-mels of audio that arrives piece by piece: frame by frame those of the whole recording."""

import torch
from torch import Tensor
from torch.nn import functional as F

from evagan_plugin.audio.mel import MelSpectrogram
from evagan_plugin.errors import UsageError


class MelStream:
    """Computes each frame as soon as its window is there, and none twice.

    Args:
        mel: The spectrogram.
    """

    def __init__(self, mel: MelSpectrogram) -> None:
        self.mel, config = mel, mel.config
        self.n_fft, self.hop_length = config.n_fft, config.hop_length
        self.samples = 0
        """Samples that were fed."""
        self._frames = 0  # that were given out
        self._previous: Tensor | None = None  # the last sample, for the preemphasis
        # Samples (B, T) that frames to come need, and those that the reflection at the end may need; the reflection at
        # the beginning is in front once it can be made. The next frame begins at _start.
        self._wav: Tensor | None = None
        self._start, self._begun, self._ended = 0, False, False

    def feed(self, wav: Tensor) -> Tensor:
        """Return the frames that are complete with these samples.

        Args:
            wav: The next samples (B, T).

        Returns:
            Tensor: Log-mels (B, n_mels, F); F may be 0.

        Raises:
            UsageError: After :meth:`flush`.
        """
        if self._ended:
            raise UsageError("the audio has ended: nothing can be fed after flush; begin another stream")
        self.samples += wav.shape[-1]
        self._append(wav)
        # No frame before the audio that it stands for is there, however short windows are.
        return self._complete(self.samples // self.hop_length)

    def flush(self) -> Tensor:
        """Return the last frames: of the audio with zeros up to a whole number of hops, and one window at least."""
        if self._wav is None:
            raise UsageError("the audio has ended before its first sample")
        self._ended = True
        whole = max(-(-self.samples // self.hop_length) * self.hop_length, self.n_fft)
        self._append(self._wav.new_zeros(self._wav.shape[0], whole - self.samples))
        self._wav = F.pad(self._wav, (0, self.mel.padding[1]), mode="reflect")
        return self._complete(self.mel.frames(whole))

    def _append(self, wav: Tensor) -> None:
        coefficient = self.mel.config.preemphasis
        if coefficient and wav.shape[-1]:
            before = F.pad(wav, (1, 0)) if self._previous is None else torch.cat([self._previous, wav], dim=-1)
            wav, self._previous = wav - coefficient * before[..., :-1], wav[..., -1:].clone()
        # A copy: the caller may use the memory again.
        self._wav = wav.clone() if self._wav is None else torch.cat([self._wav, wav], dim=-1)
        left = self.mel.padding[0]
        if not self._begun and self._wav.shape[-1] > left:
            self._begun = True
            self._wav = F.pad(self._wav, (left, 0), mode="reflect")

    def _complete(self, most: int) -> Tensor:
        """Return the frames whose windows are there, and forget samples that no frame needs any more."""
        there = (self._wav.shape[-1] - self._start - self.n_fft) // self.hop_length + 1 if self._begun else 0
        count = max(min(there, most - self._frames), 0)
        if not count:
            return self._wav.new_empty(self._wav.shape[0], self.mel.config.n_mels, 0)
        first, end = self._start, self._start + (count - 1) * self.hop_length + self.n_fft
        mel = self.mel.of_padded(self._wav[:, first:end])
        self._frames += count
        forgotten = max(first + count * self.hop_length - self.n_fft, 0)
        self._wav = self._wav[:, forgotten:]
        self._start = first + count * self.hop_length - forgotten
        return mel
