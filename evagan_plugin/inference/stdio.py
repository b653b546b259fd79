"""From standard input to standard output: mel frames or 16-bit PCM in, 16-bit PCM out as soon as it is there."""

import os
import sys
from collections.abc import Iterable, Iterator
from io import BufferedReader, BufferedWriter
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from evagan_plugin.audio.io import PCM_SCALE, quantise
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.inference.stream import CHUNK_FRAMES
from evagan_plugin.inference.vocoder import Vocoder

Kind = Literal["mel", "pcm"]
"""What comes in: frames of ``n_mels`` float32 values, or samples of one channel as 16-bit integers; little endian."""
FULL_SCALE = PCM_SCALE["PCM_16"]
READ_BYTES = 2**16


def standard_streams() -> tuple[BufferedReader, BufferedWriter]:
    """Return standard input and output as they carry bytes (raises :class:`UsageError` where one is closed)."""
    if sys.stdin is None or sys.stdout is None:
        raise UsageError(f"standard {'input' if sys.stdin is None else 'output'} is closed")
    return sys.stdin.buffer, sys.stdout.buffer


def synthesize_stdio(
    vocoder: Vocoder,
    source: BufferedReader,
    sink: BufferedWriter,
    kind: Kind = "mel",
    frames: int = CHUNK_FRAMES,
    initial_frames: int | None = None,
) -> None:
    """Synthesise what comes in until it ends; each chunk goes out at once.

    Args:
        vocoder: A vocoder that can stream.
        source: Standard input.
        sink: Standard output; one channel at the vocoder's rate.
        kind: What comes in.
        frames: Mel frames of a chunk.
        initial_frames: Of the first one; as the others when None.

    Raises:
        UsageError: If what comes in is not the vocoder's (values that are not finite), or nothing comes.
        EvaganError: If it ends in the middle of a frame or sample; what was whole has been synthesised. If the output
            is closed.
    """
    stream = vocoder.stream(frames, initial_frames) if kind == "mel" else vocoder.stream_copy(frames, initial_frames)
    unit = "frame" if kind == "mel" else "sample"
    width = vocoder.mel_config.n_mels if kind == "mel" else 1
    pieces = _Pieces(source, width * (4 if kind == "mel" else 2))
    for piece in pieces:
        before = pieces.count - len(piece) // pieces.size
        try:
            wavs = stream.feed(_mel(piece, width) if kind == "mel" else _samples(piece))
        except UsageError as error:
            raise UsageError(f"standard input, {unit}s from {before} on: {error}") from None
        _write(sink, wavs)
    _write(sink, [stream.flush()])
    if pieces.rest:
        raise EvaganError(
            f"standard input ends in the middle of {unit} {pieces.count}: {pieces.rest} of {pieces.size} bytes"
        )
    if not pieces.count:
        raise UsageError(f"standard input has no {unit}")


class _Pieces:
    """Whole units of a stream of bytes, as many at a time as there are."""

    def __init__(self, source: BufferedReader, size: int) -> None:
        self.source, self.size = source, size
        self.count, self.rest = 0, 0

    def __iter__(self) -> Iterator[bytes]:
        left = b""
        while read := self.source.read1(READ_BYTES):
            left += read
            if whole := len(left) // self.size * self.size:
                self.count += whole // self.size
                yield left[:whole]
                left = left[whole:]
        self.rest = len(left)


def _mel(piece: bytes, bands: int) -> Tensor:
    return torch.from_numpy(np.frombuffer(piece, "<f4").astype(np.float32).reshape(-1, bands)).transpose(0, 1)


def _samples(piece: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(piece, "<i2").astype(np.float32) / FULL_SCALE)


def _write(sink: BufferedWriter, wavs: Iterable[Tensor]) -> None:
    for wav in wavs:
        integers, _ = quantise(wav.numpy(), FULL_SCALE)
        try:
            sink.write(integers.astype("<i2").tobytes())
            sink.flush()
        except OSError as error:  # also what a closed pipe is
            _discard(sink)
            raise EvaganError(f"standard output cannot be written: {error.strerror}") from None


def _discard(sink: BufferedWriter) -> None:
    """Let what is left in a buffer go nowhere: the interpreter writes it out when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sink.fileno())
    os.close(nowhere)
