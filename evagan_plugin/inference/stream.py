"""Synthesis of what arrives piece by piece: joined, the pieces are the whole utterance's waveform."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from evagan_plugin.audio.mel import MelSpectrogram
from evagan_plugin.audio.mel_stream import MelStream
from evagan_plugin.errors import UsageError
from evagan_plugin.model.generator import EVAGANGenerator

CHUNK_FRAMES = 8
"""Mel frames of a chunk unless others are wanted: 85 to 128 ms of the presets' audio."""


class Stream:
    """One utterance, or a batch of as long ones, whose mels arrive piece by piece.

    The generator works on chunks of ``frames`` frames, however they are fed. Its first chunk with audio has
    ``initial_frames`` frames more than it looks ahead; those before go in by chunks as they come, so that little is
    left to do when it is full.

    Args:
        generator: In evaluation mode.
        check: Raises an error if a piece of mels cannot be the vocoder's.
        frames: Frames of a chunk.
        initial_frames: Frames of the first audio; those of a chunk when None.

    Raises:
        UsageError: If a number of frames is not positive.
    """

    def __init__(
        self,
        generator: EVAGANGenerator,
        check: Callable[[Tensor], None],
        frames: int,
        initial_frames: int | None = None,
    ) -> None:
        initial_frames = frames if initial_frames is None else initial_frames
        if min(frames, initial_frames) < 1:
            raise UsageError(f"chunks of {min(frames, initial_frames)} frames: 1 at least")
        self._generator, self._check = generator, check
        self._parameter = next(generator.parameters())  # what device and precision are there
        self._frames, self._lookahead = frames, lookahead_frames(generator)
        self._first = self._lookahead + initial_frames
        self._waiting: Tensor | None = None  # frames that are not in a chunk yet
        self._taken = 0
        self._state = None
        self._ended = False

    def feed(self, mel: Tensor | np.ndarray) -> Iterator[Tensor]:
        """Take the next mels, and return the waveforms that are complete with them, chunk by chunk as asked for.

        Args:
            mel: (n_mels, F) or (B, n_mels, F), F 1 at least; each piece of one shape but for F.

        Returns:
            Iterator: Waveforms (T,) or (B, T) in [-1, 1], float32 on the CPU; none while the chunk is not full. What is
            not asked for comes later.

        Raises:
            UsageError: If the shape is another, values are not finite, or the stream has ended; nothing is taken then.
        """
        if self._ended:
            raise UsageError("the stream has ended: nothing can be fed after flush; begin another stream")
        mel = torch.as_tensor(mel)
        self._check(mel)
        if self._waiting is None:
            self._waiting = mel.clone()  # the caller may use its memory again
        elif mel.shape[:-1] != self._waiting.shape[:-1]:
            began, now = ((*shape[:-1], "frames") for shape in (self._waiting.shape, mel.shape))
            raise UsageError(f"the stream began with mels of shape {began}, and now has {now}".replace("'", ""))
        else:
            self._waiting = torch.cat([self._waiting, mel], dim=-1)
        return self._chunks()

    def flush(self) -> Tensor:
        """End the stream and return the rest of the waveform, (T,) or (B, T); of a stream without frames, none of it.

        Raises:
            UsageError: If it has ended before.
        """
        if self._ended:
            raise UsageError("the stream has ended already")
        self._ended = True
        if self._waiting is None:
            return torch.empty(0)
        pieces = list(self._chunks())
        return torch.cat([*pieces, self._step(self._waiting, last=True)], dim=-1)

    def _chunks(self) -> Iterator[Tensor]:
        while self._waiting.shape[-1] >= (frames := self._due()):
            mel, self._waiting = self._waiting[..., :frames], self._waiting[..., frames:]
            self._taken += frames
            wav = self._step(mel)
            if wav.shape[-1]:
                yield wav

    def _due(self) -> int:
        """Return the number of frames of the next chunk."""
        silent = self._taken + self._frames < self._lookahead
        return self._frames if silent or self._taken >= self._first else self._first - self._taken

    def _step(self, mel: Tensor, last: bool = False) -> Tensor:
        batch = mel if mel.dim() == 3 else mel.unsqueeze(0)
        with torch.inference_mode():
            self._state, wav = self._generator.step(self._state, batch.to(self._parameter), last)
            wav = wav.squeeze(1).float().cpu()
        return (wav if mel.dim() == 3 else wav.squeeze(0)).clone()


class CopyStream:
    """Copy synthesis of audio that arrives piece by piece, as long as the audio.

    Args:
        stream: Of the vocoder.
        mel: Its spectrogram.
    """

    def __init__(self, stream: Stream, mel: MelSpectrogram) -> None:
        self._stream, self._mel = stream, MelStream(mel)
        self._given = 0

    def feed(self, wav: Tensor | np.ndarray) -> Iterator[Tensor]:
        """Take the next samples (T,) at the vocoder's rate, and return waveforms (T,) as :meth:`Stream.feed` does.

        Raises:
            UsageError: If the shape is another, values are not finite, or the stream has ended.
        """
        wav = torch.as_tensor(wav, dtype=torch.float32)
        if wav.dim() != 1:
            raise UsageError(f"a waveform of one channel (T,) is expected, not {tuple(wav.shape)}")
        if not torch.isfinite(wav).all():
            raise UsageError("the waveform has values that are not finite (NaN or infinity)")
        return self._counted(self._mel.feed, wav)

    def flush(self) -> Tensor:
        """End the stream and return the rest of the waveform (T,); of a stream without samples, none of it."""
        if not self._mel.samples:
            return self._stream.flush()
        left = self._mel.samples - self._given
        pieces = list(self._counted(self._mel.flush))
        return torch.cat([*pieces, self._stream.flush()])[:left]

    def _counted(self, spectrogram: Callable[..., Tensor], *wav: Tensor) -> Iterator[Tensor]:
        with torch.inference_mode():
            mel = spectrogram(*(piece.unsqueeze(0).to(self._mel.mel.window.device) for piece in wav))
        return self._count(self._stream.feed(mel.squeeze(0).cpu()) if mel.shape[-1] else iter(()))

    def _count(self, pieces: Iterator[Tensor]) -> Iterator[Tensor]:
        for piece in pieces:
            self._given += piece.shape[-1]
            yield piece


def lookahead_frames(generator: EVAGANGenerator) -> int:
    """Return the number of frames after its own that a frame's waveform waits for."""
    return -(-generator.delay // generator.upsample_factor)
