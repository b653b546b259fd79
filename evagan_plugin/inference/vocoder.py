"""A generator made ready for inference: log-mels or waveforms in, waveforms out."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from evagan_plugin.audio.features import check_mel
from evagan_plugin.audio.io import resample
from evagan_plugin.audio.likelihood import MelWatch
from evagan_plugin.audio.mel import MelSpectrogram
from evagan_plugin.config import MelConfig, MelStatistics
from evagan_plugin.errors import UsageError
from evagan_plugin.inference.padding import batches
from evagan_plugin.inference.precision import automatic_dtype
from evagan_plugin.inference.stream import CHUNK_FRAMES, CopyStream, Stream, lookahead_frames
from evagan_plugin.model.generator import EVAGANGenerator
from evagan_plugin.model.vocos import VocosGenerator
from evagan_plugin.utils.device import checked_device

logger = logging.getLogger(__name__)

Dtype = torch.dtype | Literal["auto"]
"""Type to compute in; ``"auto"``: bfloat16 on a CPU that has it, where waveforms hardly change by it, else float32."""


class Vocoder:
    """A generator made ready for inference, with the mel front end that it was trained on.

    Everything runs under ``torch.inference_mode``; what comes out is an ordinary tensor, which may be changed in place.

    Args:
        mel: What the generator hears.
        generator: Maps log-mels (B, n_mels, F) to waveforms (B, 1, F * hop); it is put into evaluation mode.
        device: Where to compute, e.g. ``"cpu"`` or ``"cuda"``.
        dtype: Floating-point type of weights and computation, or ``"auto"``, of which a line says what was chosen.
        statistics: Of the mels that it was trained on, where they are known.
    """

    def __init__(
        self,
        mel: MelConfig,
        generator: nn.Module,
        device: str | torch.device = "cpu",
        dtype: Dtype = torch.float32,
        statistics: MelStatistics | None = None,
    ) -> None:
        self.mel_config = mel
        """What the mels that go in must be."""
        self.device = checked_device(device)
        if dtype == "auto":
            dtype = automatic_dtype(generator.eval().to(self.device, torch.float32), mel, self.device)
        if dtype == torch.bfloat16 and isinstance(generator, VocosGenerator):
            raise UsageError("vocos cannot compute in bfloat16: its inverse Fourier transform has none")
        self.dtype = dtype
        self.generator = generator.eval().to(self.device, dtype)
        self.mel_spectrogram = MelSpectrogram(mel).to(self.device)
        self.watch = MelWatch(mel, statistics, logger)
        """Compares the mels that go in with those that it was trained on."""

    mel = property(lambda self: self.mel_config, doc="Old name of :attr:`mel_config`.")

    @property
    def sample_rate(self) -> int:
        """Samples per second (Hz) of what comes out."""
        return self.mel_config.sample_rate

    def synthesize(self, mel: Tensor | np.ndarray, source: str | Path = "the mel") -> Tensor:
        """Turn log-mels into waveforms; of the first that can hardly be this vocoder's a line says why.

        Args:
            mel: (n_mels, F) or (B, n_mels, F), as :attr:`mel_config` defines it.
            source: What it is called in that line.

        Returns:
            Tensor: Waveforms in [-1, 1], float32 on the CPU, (F * hop,) or (B, F * hop).

        Raises:
            UsageError: If the shape is wrong (bands, orientation, no frames) or values are not finite.
        """
        mel = torch.as_tensor(mel)
        self._check(mel, source)
        return self._generate(mel)

    def synthesize_batch(self, mels: Sequence[Tensor | np.ndarray], batch_size: int = 8) -> list[Tensor]:
        """Turn the log-mels of many utterances into waveforms, several at a time, each as :meth:`synthesize` makes it.

        Those of about the same length go together and are padded, which changes nothing of what is heard; where
        :attr:`can_pad` is false, those of the same length.

        Args:
            mels: (n_mels, F) each.
            batch_size: Utterances at a time at most; fewer of long ones.

        Returns:
            list: Waveforms (F * hop,) in the order of the mels.

        Raises:
            UsageError: If a shape is wrong, values are not finite, or the batch size is not positive.
        """
        mels = [torch.as_tensor(mel) for mel in mels]
        for index, mel in enumerate(mels):
            if mel.dim() != 2:
                raise UsageError(f"mel {index} has {mel.dim()} dimensions: (n_mels, frames) is expected of each")
            self._check(mel, f"mel {index}")
        wavs = {}
        for batch in batches([mel.shape[-1] for mel in mels], batch_size, self.can_pad):
            wavs |= zip(batch, self.synthesize_padded([mels[index] for index in batch]), strict=True)
        return [wavs[index] for index in range(len(mels))]

    def synthesize_padded(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """Turn log-mels (n_mels, F) into waveforms (F * hop,) at once, unchecked.

        Where :attr:`can_pad` is false all must have the same length.
        """
        frames = [mel.shape[-1] for mel in mels]
        batch = pad_sequence([mel.transpose(0, 1) for mel in mels], batch_first=True).transpose(1, 2)
        if min(frames) == max(frames):
            return list(self._generate(batch))
        hop = self.mel_config.hop_length
        return [wav[: count * hop].clone() for wav, count in zip(self._generate(batch, frames), frames, strict=True)]

    @property
    def can_pad(self) -> bool:
        """Whether utterances of different lengths can be synthesised at once: by a generator of ours, in PyTorch."""
        return isinstance(self.generator, EVAGANGenerator)

    def _check(self, mel: Tensor, source: str | Path = "the mel") -> None:
        check_mel(mel, self.mel_config)
        self.watch.look(mel, source)

    def _generate(self, mel: Tensor, frames: Sequence[int] | None = None) -> Tensor:
        batch = (mel if mel.dim() == 3 else mel.unsqueeze(0)).to(self.device, self.dtype)
        with torch.inference_mode():
            wav = self.generator(batch) if frames is None else self.generator(batch, frames=frames)
            wav = wav.squeeze(1).float().cpu()
        return (wav if mel.dim() == 3 else wav.squeeze(0)).clone()

    def resynthesize(self, wav: Tensor | np.ndarray, sample_rate: int) -> Tensor:
        """Copy synthesis: waveform to mel to waveform.

        Args:
            wav: (T,) or (B, T) in [-1, 1].
            sample_rate: Samples per second of ``wav``; another rate than the vocoder's is resampled.

        Returns:
            Tensor: Waveforms at :attr:`sample_rate`, exactly as long as the (resampled) input.

        Raises:
            UsageError: If there is no sample or a value is not finite.
        """
        mel, length = self.analyse(wav, sample_rate)
        return self._generate(mel)[..., :length]

    def analyse(self, wav: Tensor | np.ndarray, sample_rate: int) -> tuple[Tensor, int]:
        """Return the log-mels of a waveform, (n_mels, F) or (B, n_mels, F), and its samples at :attr:`sample_rate`.

        Args:
            wav: As for :meth:`resynthesize`.
            sample_rate: Samples per second of ``wav``.

        Raises:
            UsageError: As :meth:`resynthesize`.
        """
        wav = torch.as_tensor(wav, dtype=torch.float32)
        if wav.dim() not in (1, 2) or not wav.shape[-1]:
            raise UsageError(f"waveforms of shape (T,) or (batch, T) are expected, not {tuple(wav.shape)}")
        if wav.dim() == 2 and wav.shape[0] > 64 * wav.shape[1]:
            raise UsageError(f"a waveform of shape {tuple(wav.shape)} looks like (T, channels): pass one channel (T,)")
        if not torch.isfinite(wav).all():
            raise UsageError("the waveform has values that are not finite (NaN or infinity)")
        wav = resample(wav, sample_rate, self.sample_rate)
        length, hop = wav.shape[-1], self.mel_config.hop_length
        # To whole frames, and to enough of them for the reflection at the ends of the first transform.
        padded = max(-(-length // hop) * hop, self.mel_config.n_fft)
        with torch.inference_mode():
            mel = self.mel_spectrogram(F.pad(wav, (0, padded - length)).to(self.device).view(-1, 1, padded))
        return (mel if wav.dim() == 2 else mel.squeeze(0)), length

    def stream(self, frames: int = CHUNK_FRAMES, initial_frames: int | None = None) -> Stream:
        """Begin a stream: mels piece by piece in, waveforms chunk by chunk out, which joined equal :meth:`synthesize`.

        Args:
            frames: Mel frames of a chunk.
            initial_frames: Frames of the first audio; as of any chunk when None.

        Raises:
            UsageError: If the generator is not ours, or a number of frames is not positive.
        """
        return Stream(self._own_generator(), self._check, frames, initial_frames)

    def stream_copy(self, frames: int = CHUNK_FRAMES, initial_frames: int | None = None) -> CopyStream:
        """Begin a stream of audio at :attr:`sample_rate`: what comes out, joined, equals :meth:`resynthesize`."""
        stream = Stream(self._own_generator(), lambda mel: None, frames, initial_frames)
        return CopyStream(stream, self.mel_spectrogram)

    @property
    def can_stream(self) -> bool:
        """Whether :meth:`stream` works: with a generator of ours, computed by PyTorch."""
        return isinstance(self.generator, EVAGANGenerator)

    @property
    def lookahead_frames(self) -> int:
        """Mel frames after its own that a frame's audio waits for."""
        return lookahead_frames(self._own_generator())

    def latency(self, frames: int = CHUNK_FRAMES, audio: bool = False) -> float:
        """Return the seconds that a sample is late at most in a stream of chunks, computation not counted.

        Args:
            frames: Mel frames of a chunk.
            audio: Whether mels are computed of audio that comes in (:meth:`stream_copy`), so that the part of a frame's
                window counts that reaches beyond its hop.
        """
        mel = self.mel_config
        ahead = max(mel.n_fft - self.mel_spectrogram.padding[0] - mel.hop_length, 0) if audio else 0
        return ((frames + self.lookahead_frames) * mel.hop_length + ahead) / mel.sample_rate

    def _own_generator(self) -> EVAGANGenerator:
        if not self.can_stream:
            raise UsageError("only a model of ours can stream, computed by PyTorch")
        return self.generator
