"""Audio files in and out: checked reading, mono, resampling, writing whole files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from evagan_plugin.audio.archive import audio_file
from evagan_plugin.audio.flac import flac_length, with_length
from evagan_plugin.audio.sizes import UNKNOWN_SIZE, unread_audio
from evagan_plugin.errors import EvaganError, UsageError, library_errors
from evagan_plugin.utils.files import atomic_path

if TYPE_CHECKING:
    import torch

PCM_SCALE = {"PCM_16": 2**15, "PCM_24": 2**23}
"""Full scale of the integer formats that are written."""
FILE_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".sph"})
"""Suffixes (lower case) that a search for audio files goes by."""

RESAMPLE_OPTIONS = {
    "lowpass_filter_width": 64,
    "rolloff": 0.9475937167399596,
    "resampling_method": "sinc_interp_kaiser",
    "beta": 14.769656459379492,
}
"""Kaiser-windowed sinc with 64 zero crossings, cut off at 0.948 of the lower Nyquist frequency: the filter
that torchaudio's documentation gives as the equivalent of librosa's ``kaiser_best``."""

DATA_SIZE = re.compile(r"^\s*(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
"""What libsndfile notes about a WAV, AIFF or AU file that is shorter than its header says."""
OGG_CUT = re.compile(r"Ogg ?: (?:Last page lacks an end-of-stream bit|Junk after the last page)")
MP3_SLACK = 2 * 1152
"""Samples by which an MP3's stated length may be off: encoder delay and padding come in frames of 1152."""
WRONG_PLACE = frozenset({"MP3", "VORBIS"})
"""Formats in which libsndfile's seeking ends up beside the place (MP3 anywhere, Vorbis at the end)."""
SPH_SAMPLES = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)

BANDWIDTH_FFT = 2048
BANDWIDTH_RANGE_DB = 65.0
BANDWIDTH_FRAMES = 4096
"""Frames that are looked at, evenly spread: enough for a percentile, and bounded memory for hours of audio."""


class AudioFile(soundfile.SoundFile):
    """An open audio file; what follows a read is read without seeking where seeking is not exact.

    soundfile seeks before and after each read of a file that it takes for seekable; ``read`` then wants a number.
    """

    place = 0
    """Sample where it stands, kept by who reads it forward (``recording.py``)."""

    def seekable(self) -> bool:
        """Return whether seeking is exact; to sample 0 it always is."""
        return super().seekable() and not WRONG_PLACE & {self.format, self.subtype}


@dataclass(frozen=True)
class AudioHeader:
    """What the header of an audio file states."""

    sample_rate: int
    """Hz."""
    channels: int
    frames: int
    """Samples of a channel."""
    subtype: str
    """libsndfile's name of the sample format, e.g. ``PCM_24``."""


def read_header(path: str | Path) -> AudioHeader:
    """Read the header of an audio file or of one inside a Kaldi archive; :func:`load_audio` sees whether it is whole.

    Raises:
        EvaganError: If the file is missing or no audio.
    """
    with audio_file(path) as file, opened(file) as audio:
        return AudioHeader(audio.samplerate, audio.channels, audio.frames, audio.subtype)


@contextmanager
def opened(path: Path) -> Iterator[AudioFile]:
    """Open an audio file; whatever a reader throws is one kind of error with the file's name."""
    try:
        if path.stat().st_size == 0:
            raise EvaganError(f"{path}: empty file (0 bytes)")
        unread, flac = unread_audio(path), flac_length(path)
    except (OSError, ValueError) as error:
        raise EvaganError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if unread:
        raise EvaganError(
            f"{path}: its header states {unread[0]} bytes of audio, the file holds {unread[1]} (a stream, or a header "
            "that was not brought up to date): sox --ignore-length FILE NEW_FILE"
        )
    if flac and 0 < flac.stated < flac.held:
        raise EvaganError(
            f"{path}: its header states {flac.stated} samples, the file holds {flac.held} (a header that was not "
            "brought up to date): ffmpeg -i FILE NEW_FILE.flac"
        )
    with library_errors(f"{path}: not readable as audio"):
        try:
            unknown = flac and flac.held and not flac.stated
            # By name, not as a stream: soundfile's callbacks for streams can crash the interpreter.
            with (
                with_length(path, flac.held) if unknown else nullcontext(path) as file,
                AudioFile(file) as audio,
            ):
                yield audio
        except soundfile.LibsndfileError as error:
            reason = error.error_string or "damaged or cut off in the middle"
            raise EvaganError(f"{path}: not readable as audio: {reason}") from error


def load_audio(path: str | Path) -> tuple[np.ndarray, int]:
    """Read a whole audio file of any format that libsndfile knows.

    Args:
        path: WAV, FLAC, Ogg, Opus, MP3, AIFF, AU or NIST SPHERE file, or one inside a Kaldi archive
            (``FILE.ark:OFFSET``).

    Returns:
        Samples as float32 ``(channels, T)``, full scale 1.0 (decoded MP3 or Vorbis may exceed it), and the sample
        rate in Hz.

    Raises:
        EvaganError: If the file is missing, empty, no audio, truncated, has no samples, or has NaN or infinite ones.
    """
    with audio_file(path) as file:
        return _load(file)


def _load(path: Path) -> tuple[np.ndarray, int]:
    blocks = list(decoded(path))  # one, but for an MP3 that holds more than its header says
    samples, sample_rate = blocks[0] if len(blocks) == 1 else (np.concatenate([b for b, _ in blocks]), blocks[0][1])
    bad = np.count_nonzero(~np.isfinite(samples))
    if bad:
        raise EvaganError(f"{path}: {bad} of {samples.size} samples are NaN or infinite")
    return np.ascontiguousarray(samples.T), sample_rate


def decoded(path: Path, seconds: float | None = None) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the samples of a file as blocks ``(T, channels)``, float32, each with the sample rate (Hz).

    Args:
        path: An audio file.
        seconds: Of a block; one block when None.

    Raises:
        EvaganError: If it cannot be opened or has no samples; in the place of the last block, if the file is shorter
            than its header says.
    """
    with opened(path) as audio:
        notes, expected, container, sample_rate = audio.extra_info, audio.frames, audio.format, audio.samplerate
        # One more than there are, so that one block is the last one, too.
        length, read = expected + 1 if seconds is None else max(round(seconds * sample_rate), 1), 0
        block = audio.read(length, dtype="float32", always_2d=True)
        while len(block) == length:
            read += length
            yield block, sample_rate
            block = audio.read(length, dtype="float32", always_2d=True)
    check_notes(path, notes)
    if container == "NIST":
        with path.open("rb") as stream:
            header = SPH_SAMPLES.search(stream.read(1024))
        expected = int(header[1]) if header else expected
    read += len(block)
    if read < expected - (MP3_SLACK if container == "MP3" else 0):
        raise EvaganError(f"{path}: truncated: {read} samples could be read, its header states {expected}")
    if not read:
        raise EvaganError(f"{path}: no samples in it")
    if len(block):
        yield block, sample_rate


def check_notes(path: Path, notes: str) -> None:
    """Raise :class:`EvaganError` if libsndfile has noted that a file is shorter than its header says."""
    stated = DATA_SIZE.search(notes)
    if stated and int(stated[2]) < int(stated[1]) < UNKNOWN_SIZE:
        raise EvaganError(
            f"{path}: truncated: its header states {stated[1]} bytes of audio, the file holds {stated[2]}"
        )
    if OGG_CUT.search(notes):
        raise EvaganError(f"{path}: truncated: the Ogg stream ends in the middle of a page")


def downmix(wav: np.ndarray) -> np.ndarray:
    """Return the mean of the channels: ``(channels, T)`` to ``(T,)``."""
    return wav[0] if wav.shape[0] == 1 else wav.mean(axis=0, dtype=np.float32)


def resample[Wave: (np.ndarray, "torch.Tensor")](wav: Wave, sample_rate: int, new_sample_rate: int) -> Wave:
    """Resample along the last axis with :data:`RESAMPLE_OPTIONS`.

    Args:
        wav: Samples ``(..., T)``, float; numpy or torch, and the result is of the same kind.
        sample_rate: Rate of ``wav`` in Hz.
        new_sample_rate: Wanted rate in Hz.

    Returns:
        Samples ``(..., ceil(T * new_sample_rate / sample_rate))``; ``wav`` itself if the rates are equal.
    """
    if sample_rate == new_sample_rate:
        return wav
    # Imported here, because they take seconds, and most audio needs no resampling.
    import torch
    import torchaudio

    if isinstance(wav, np.ndarray):
        return resample(torch.from_numpy(wav), sample_rate, new_sample_rate).numpy()
    return torchaudio.functional.resample(wav, sample_rate, new_sample_rate, **RESAMPLE_OPTIONS)


def effective_bandwidth(wav: np.ndarray, sample_rate: int) -> float:
    """Return the highest frequency in Hz that is really in a recording, whatever its sample rate claims.

    It is the highest bin of the 98th percentile over time of the magnitude spectrum (Hann window,
    :data:`BANDWIDTH_FFT` samples, half overlapping) that lies within :data:`BANDWIDTH_RANGE_DB` of the spectrum's
    peak; 0.0 for silence.

    Args:
        wav: Samples ``(T,)``.
        sample_rate: In Hz.
    """
    padded = np.pad(wav, (0, max(0, BANDWIDTH_FFT - len(wav))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, BANDWIDTH_FFT)[:: BANDWIDTH_FFT // 2]
    frames = frames[:: -(-len(frames) // BANDWIDTH_FRAMES)]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(BANDWIDTH_FFT).astype(np.float32)))
    loud = np.percentile(spectrum, 98, axis=0)
    heard = np.flatnonzero(loud > loud.max() * 10 ** (-BANDWIDTH_RANGE_DB / 20))
    return float(heard[-1] * sample_rate / BANDWIDTH_FFT) if heard.size else 0.0


def load_mono(path: str | Path, sample_rate: int) -> np.ndarray:
    """Read a file as one channel ``(T,)`` at ``sample_rate`` Hz; errors as :func:`load_audio`."""
    wav, file_rate = load_audio(path)
    return resample(downmix(wav), file_rate, sample_rate)


def save_audio(path: str | Path, wav: np.ndarray, sample_rate: int, subtype: str = "PCM_16") -> int:
    """Write one channel as WAV or FLAC, by the suffix of ``path``, whole or not at all.

    Integers are rounded to the nearest step, without dither, so that samples read from a file of the same
    ``subtype`` are written back bit for bit.

    Args:
        path: Where to, ``.wav`` or ``.flac``.
        wav: Samples ``(T,)``, full scale 1.0.
        sample_rate: In Hz.
        subtype: ``PCM_16``, ``PCM_24`` or ``FLOAT`` (WAV only).

    Returns:
        How many samples were clipped to full scale (0 with ``FLOAT``, which does not clip).

    Raises:
        EvaganError: If samples are NaN or infinite, or the file cannot be written.
        UsageError: If the suffix is neither.
    """
    with audio_writer(path, sample_rate, subtype) as writer:
        writer.write(wav)
    return writer.clipped


class AudioWriter:
    """What :func:`audio_writer` gives: takes the samples of a file piece by piece."""

    def __init__(self, path: Path, sink: soundfile.SoundFile, subtype: str) -> None:
        self._path, self._sink, self._subtype = path, sink, subtype
        self.samples, self.clipped = 0, 0
        """How many were written, and how many of them clipped to full scale."""

    def write(self, wav: np.ndarray) -> None:
        """Write the next samples ``(T,)``, full scale 1.0.

        Raises:
            EvaganError: If samples are NaN or infinite, or cannot be written.
        """
        if not np.isfinite(wav).all():
            raise EvaganError(f"{self._path}: not written: samples are NaN or infinite")
        if self._subtype in PCM_SCALE:
            wav, clipped = quantise(wav, PCM_SCALE[self._subtype])
            self.clipped += clipped
        self.samples += len(wav)
        try:
            self._sink.write(wav)
        except (AssertionError, soundfile.LibsndfileError):  # soundfile asserts that all samples were written
            raise _not_all_written(self._path) from None


@contextmanager
def audio_writer(path: str | Path, sample_rate: int, subtype: str = "PCM_16") -> Iterator[AudioWriter]:
    """Write one channel as WAV or FLAC piece by piece, whole or not at all; arguments and errors as of
    :func:`save_audio`."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FILE_FORMATS:
        raise UsageError(f"{path}: audio is written as {' or '.join(FILE_FORMATS)}, not as '{suffix}'")
    with atomic_path(path) as temporary:
        # Opened first, so that a missing permission is reported as such; soundfile only says "system error".
        temporary.touch()
        try:
            sink = soundfile.SoundFile(temporary, "w", sample_rate, 1, subtype, format=FILE_FORMATS[suffix])
        except soundfile.LibsndfileError:
            raise _not_all_written(path) from None
        with sink:
            writer = AudioWriter(path, sink, subtype)
            yield writer
        try:
            written = soundfile.info(temporary).frames
        except soundfile.LibsndfileError:
            written = -1
        if written != writer.samples:
            raise _not_all_written(path)


def _not_all_written(path: Path) -> EvaganError:
    return EvaganError(f"cannot write {path}: the disk is full or the file too large")


def quantise(wav: np.ndarray, scale: int) -> tuple[np.ndarray, int]:
    """Return integers as soundfile takes them (16-bit, or 24 upper bits of 32) and the number of clipped samples."""
    steps = np.round(wav.astype(np.float64) * scale)
    # +1.0 lies one step above the largest integer; it counts as full scale, not as clipping.
    clipped = int(np.count_nonzero((steps > scale) | (steps < -scale)))
    steps = steps.clip(-scale, scale - 1)
    return (steps.astype(np.int16) if scale == 2**15 else steps.astype(np.int32) << 8), clipped
