"""One item as it lies in a shard: mono FLAC of 16 bits at the wanted rate, its band measured again.

16 bits as ``evagan format``, whatever the source: with 24 the lowest eight, which are noise, would double the bytes.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evagan_plugin.audio.bandwidth import measure_band
from evagan_plugin.audio.io import PCM_SCALE, RESAMPLE_OPTIONS, downmix, load_audio, quantise, resample, save_audio
from evagan_plugin.data.curation.items import Item, read_stretch
from evagan_plugin.data.curation.measuring import BITS
from evagan_plugin.errors import EvaganError, library_errors

SUBTYPE = "PCM_16"
TOLERANCE = 1000.0
"""Hz by which two measures of one band may differ."""


@dataclass(frozen=True)
class Encoded:
    """An item in a shard's form."""

    flac: bytes
    samples: int
    details: dict[str, Any]
    """What was found on the way: length, rate, bandwidth (Hz) after encoding, samples that were clipped."""


def encode(item: Item, sample_rate: int, bandwidth: float | None = None) -> Encoded | str:
    """Return an item in a shard's form, or why it cannot be read or has lost a part of its band.

    Args:
        item: What is read.
        sample_rate: Wanted rate in Hz.
        bandwidth: What curation has measured (Hz); measured here when None.

    Raises:
        EvaganError: If the FLAC file cannot be written, which is no fault of the item.
    """
    try:
        with library_errors(item.source):
            wav, source_rate, subtype = read_stretch(item)
            mono = resample(downmix(wav), source_rate, sample_rate)
    except EvaganError as error:
        return str(error)
    flac, copy, clipped = _through_flac(mono, sample_rate)
    found = measure_band(copy, sample_rate, BITS[SUBTYPE]).bandwidth
    source = measure_band(wav, source_rate, BITS.get(subtype)).bandwidth if bandwidth is None else bandwidth
    kept = min(source, _passed(source_rate, sample_rate))
    # Sound that is fainter than the rounding to 16 bits is given up, and nothing else is.
    if found < kept - TOLERANCE and measure_band(mono[None], sample_rate).bandwidth < kept - TOLERANCE:
        return f"{item.source}: encoded, its sound ends at {found:.0f} Hz; {source:.0f} Hz were measured before"
    details = {
        "sample_rate": sample_rate,
        "num_samples": len(mono),
        "duration": round(len(mono) / sample_rate, 6),
        "bandwidth": round(found),
    }
    return Encoded(flac, len(mono), details | ({"clipped_samples": clipped} if clipped else {}))


def _through_flac(mono: np.ndarray, sample_rate: int) -> tuple[bytes, np.ndarray, int]:
    """Return the FLAC file of samples (T,), what is read from it (1, T), and how many samples were clipped."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "item.flac"
        clipped = save_audio(path, mono, sample_rate, SUBTYPE)
        flac, (copy, _) = path.read_bytes(), load_audio(path)
    if not np.array_equal(copy[0] * PCM_SCALE[SUBTYPE], quantise(mono, PCM_SCALE[SUBTYPE])[0]):
        raise EvaganError(f"{path}: a FLAC file has not what was written into it: is the disk or memory broken?")
    return flac, copy, clipped


def _passed(source_rate: int, sample_rate: int) -> float:
    """Return up to where (Hz) sound stays at another rate."""
    lowest = min(source_rate, sample_rate)
    return lowest / 2 * (1.0 if source_rate == sample_rate else RESAMPLE_OPTIONS["rolloff"])
