"""Recordings whose sound ends at a known frequency: low-passed, upsampled, and through MP3, Opus, Vorbis and AAC."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from evagan_plugin.audio.bandwidth import active_frames, rounding_level
from evagan_plugin.audio.io import RESAMPLE_OPTIONS, load_audio, resample
from evagan_plugin.errors import LibraryError, library_errors

LOW_PASSES = (4000, 5500, 7000, 8500, 10000, 12000, 14000, 15500, 17000, 18500, 20000)
"""Cut-offs (Hz, half amplitude) of a filter of 511 taps."""
LOW_RATES = (8000, 11025, 16000, 22050, 24000, 32000)
"""Rates (Hz) that audio is brought down to and up again from."""
MP3_LEVELS = (0.7, 0.85, 0.9, 0.93)
"""libsndfile's compression levels: 113 to 48 kbit/s and below; the cut-off stands in the file, where LAME notes it."""
OPUS_LEVELS = (0.5, 0.8, 0.9, 0.96, 0.99)
OPUS_BANDS = (4000, 6000, 8000, 12000, 20000)
"""Bandwidths (Hz) of Opus: narrow, medium, wide, super-wide, full (RFC 6716, section 2)."""
VORBIS_LEVELS = (1.0, 0.9, 0.8, 0.7, 0.6)
"""Qualities 0 to 4."""
HIGHEST = 20500
"""Hz; cut-offs above are nobody's loss."""
BAND_HZ = 100
AUDIBLE_DB = 12.0
LEFT_DB = 20.0
AAC_RATES = (32000, 48000, 64000)
"""Bits per second of one channel."""


@dataclass(frozen=True)
class Degraded:
    """Audio with a known end."""

    kind: str
    setting: str
    cutoff: float
    """Hz."""
    wav: np.ndarray
    """Samples ``(T,)``."""
    sample_rate: int


def music_like(seconds: float, sample_rate: int, seed: int) -> np.ndarray:
    """Return noise ``(T,)`` over the whole band that falls by 2 to 7 dB per octave, in notes and pauses, with tones."""
    draw = np.random.default_rng(seed)
    length = round(seconds * sample_rate)
    frequencies = np.fft.rfftfreq(length, 1 / sample_rate)
    tilt = draw.uniform(2, 7) * np.log2(np.maximum(frequencies, 100) / 100)
    noise = np.fft.irfft(np.fft.rfft(draw.standard_normal(length)) * 10 ** (-tilt / 20), length)
    time = np.arange(length) / sample_rate
    notes = np.interp(
        time,
        np.arange(0, seconds + 0.2, 0.2),
        10 ** (draw.uniform(-40, 0, round(seconds / 0.2) + 2) / 20)[: len(np.arange(0, seconds + 0.2, 0.2))],
    )
    pitch = draw.uniform(80, 500)
    tones = sum(np.sin(2 * np.pi * pitch * n * time + n) / n**1.5 for n in range(1, 12))
    wav = notes * (noise / np.abs(noise).max() + 0.2 * tones)
    return (10 ** (draw.uniform(-20, -1) / 20) * wav / np.abs(wav).max()).astype(np.float32)


def degrade(wav: np.ndarray, sample_rate: int) -> Iterator[Degraded]:
    """Yield a recording ``(T,)`` ended lower in every way that can be made here.

    Where its own sound does not reach a cut-off, nothing ends there: such a way is passed over, as are those that need
    an encoder which is missing (:func:`missing`).
    """
    makers: list[Callable[[np.ndarray, int], Iterator[Degraded]]] = [low_passed, upsampled, mp3, opus, vorbis]
    if not missing():
        makers.append(aac)
    for make in makers:
        for made in make(wav, sample_rate):
            if made.cutoff <= min(HIGHEST, made.sample_rate / 2 - 1500) and sounds_below(wav, sample_rate, made.cutoff):
                yield made


def sounds_below(wav: np.ndarray, sample_rate: int, cutoff: float) -> bool:
    """Say whether a recording has sound, above the rounding noise of 16 bits, in each part of the 600 Hz below."""
    level = _levels(wav, sample_rate)
    parts = level[int((cutoff - 600) / BAND_HZ) : int(cutoff / BAND_HZ)]
    return bool(parts.size and parts.min() > rounding_level(sample_rate, 16) + AUDIBLE_DB)


def kept_until(wav: np.ndarray, coded: np.ndarray, sample_rate: int, coded_rate: int) -> float:
    """Return the frequency (Hz) up to which a codec left something of a recording: within 20 dB, band by band."""
    before, after = _levels(wav, sample_rate), _levels(coded, coded_rate)
    bands = min(len(before), len(after))
    kept = np.flatnonzero(after[:bands] > before[:bands] - LEFT_DB)
    return float((kept[-1] + 1) * BAND_HZ) if kept.size else 0.0


def _levels(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the mean level (dB) of bands of :data:`BAND_HZ` over the frames that sound."""
    power = active_frames(wav[None], sample_rate)
    if power is None:
        return np.zeros(0)
    bands = (np.linspace(0, sample_rate / 2, power.shape[1]) / BAND_HZ).astype(int)
    mean = power.mean(axis=0, dtype=np.float64)
    return 10 * np.log10(np.bincount(bands, mean) / np.bincount(bands) + 1e-18)


def low_passed(wav: np.ndarray, sample_rate: int) -> Iterator[Degraded]:
    taps = 511
    time = np.arange(taps) - taps // 2
    size = len(wav) + taps
    for cutoff in LOW_PASSES:
        kernel = np.sinc(2 * cutoff / sample_rate * time) * (2 * cutoff / sample_rate) * np.kaiser(taps, 10)
        filtered = np.fft.irfft(np.fft.rfft(wav, size) * np.fft.rfft(kernel, size), size)
        cut = filtered[taps // 2 : taps // 2 + len(wav)].astype(np.float32)
        yield Degraded("low-passed", f"{cutoff} Hz", cutoff, cut, sample_rate)


def upsampled(wav: np.ndarray, sample_rate: int) -> Iterator[Degraded]:
    """Down by the package's filter, up by that, by torchaudio's short default, and by straight lines."""
    import torch
    import torchaudio

    for rate in LOW_RATES:
        low = resample(wav, sample_rate, rate)
        cutoff = RESAMPLE_OPTIONS["rolloff"] * rate / 2
        short = torchaudio.functional.resample(torch.from_numpy(low), rate, sample_rate).numpy()
        lines = np.interp(np.arange(len(wav)) * rate / sample_rate, np.arange(len(low)), low).astype(np.float32)
        ways = {"long": resample(low, rate, sample_rate), "short": short, "linear": lines}
        for name, up in ways.items():
            yield Degraded("upsampled", f"{rate} Hz, {name}", cutoff, up, sample_rate)


def mp3(wav: np.ndarray, sample_rate: int) -> Iterator[Degraded]:
    for level in MP3_LEVELS:
        content, decoded, rate = _through(wav, sample_rate, ".mp3", "MP3", "MPEG_LAYER_III", level)
        # LAME's tag (its name, then a byte of method, then the cut-off in hundreds of Hz) is in the first frame.
        tag = content[:1000].find(b"LAME")
        if tag >= 0 and content[tag + 10]:
            cutoff = min(content[tag + 10] * 100.0, kept_until(wav, decoded, sample_rate, rate))
            yield Degraded("MP3", f"level {level}", cutoff, decoded, rate)


def opus(wav: np.ndarray, sample_rate: int) -> Iterator[Degraded]:
    source = resample(wav, sample_rate, 48000)
    for level in OPUS_LEVELS:
        content, decoded, rate = _through(source, 48000, ".opus", "OGG", "OPUS", level)
        cutoff = min(_opus_band(content), kept_until(source, decoded, 48000, rate))
        yield Degraded("Opus", f"level {level}", cutoff, decoded, rate)


def vorbis(wav: np.ndarray, sample_rate: int) -> Iterator[Degraded]:
    for level in VORBIS_LEVELS:
        _, decoded, rate = _through(wav, sample_rate, ".ogg", "OGG", "VORBIS", level)
        yield Degraded("Vorbis", f"level {level}", kept_until(wav, decoded, sample_rate, rate), decoded, rate)


def aac(wav: np.ndarray, sample_rate: int) -> Iterator[Degraded]:
    """By FFmpeg's own encoder, through torchcodec; its cut-off follows from the bit rate (FFmpeg's psymodel.h)."""
    import torch
    from torchcodec.decoders import AudioDecoder
    from torchcodec.encoders import AudioEncoder

    for bits in AAC_RATES:
        cutoff = min(max(bits / 5, bits * 15 / 32 - 5500), 3000 + bits / 4, 12000 + bits / 16, 22000, sample_rate / 2)
        encoder = AudioEncoder(torch.from_numpy(wav).unsqueeze(0), sample_rate=sample_rate)
        content = encoder.to_tensor(format="adts", bit_rate=bits)
        decoded = AudioDecoder(content).get_all_samples()
        wav_out = decoded.data.mean(dim=0).numpy()
        cutoff = min(cutoff, kept_until(wav, wav_out, sample_rate, decoded.sample_rate))
        yield Degraded("AAC", f"{bits // 1000} kbit/s", cutoff, wav_out, decoded.sample_rate)


def missing() -> str | None:
    """Return why AAC cannot be made here; None if it can."""
    try:
        with library_errors("AAC"):
            next(aac(np.zeros(44100, np.float32), 44100))
    except LibraryError:
        return "torchcodec does not work here; it needs FFmpeg's shared libraries (Debian: ffmpeg)"
    return None


def _through(
    wav: np.ndarray, sample_rate: int, suffix: str, container: str, subtype: str, level: float
) -> tuple[bytes, np.ndarray, int]:
    """Return a coded file's bytes, what is decoded of it ``(T,)``, and the rate of that."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"coded{suffix}"
        with soundfile.SoundFile(
            path, "w", sample_rate, 1, subtype, format=container, compression_level=level
        ) as stream:
            stream.write(wav)
        decoded, rate = load_audio(path)
        return path.read_bytes(), decoded[0], rate


def _opus_band(content: bytes) -> float:
    """Return the widest bandwidth (Hz) of the packets in an Ogg Opus file, from their first bytes."""
    widest, place, packets = 0, 0, 0
    while (place := content.find(b"OggS", place)) >= 0:
        lacing = content[place + 27 : place + 27 + content[place + 26]]
        start = place = place + 27 + len(lacing)
        fresh = True
        for length in lacing:
            if fresh:
                packets += 1
                if packets > 2 and length:  # after the header and the comments
                    widest = max(widest, _band_number(content[start] >> 3))
            start += length
            fresh = length < 255
    return float(OPUS_BANDS[widest])


def _band_number(configuration: int) -> int:
    """Return the place in :data:`OPUS_BANDS` of a packet's configuration (RFC 6716, table 2)."""
    if configuration < 12:  # SILK: narrow, medium, wide
        return configuration // 4
    if configuration < 16:  # hybrid: super-wide, full
        return 3 + (configuration - 12) // 2
    return (0, 2, 3, 4)[(configuration - 16) // 4]  # CELT
