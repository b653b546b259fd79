"""What data preparations share: finding files, safe names, seeded draws, sets without a common speaker."""

import hashlib
import random
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from evagan_plugin.audio.recording import open_recording
from evagan_plugin.data.kaldi import DataDir
from evagan_plugin.data.utterances import is_hidden
from evagan_plugin.errors import UsageError

UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
SILENCE_DB = -50.0
"""Level (RMS, of full scale) below which an excerpt is drawn again."""
ATTEMPTS = 50


def find_files(root: Path, pattern: str, origin: str) -> list[Path]:
    """Return the files below ``root`` that match, sorted; hidden ones are passed over.

    Args:
        root: Directory of a corpus, or of a part of it.
        pattern: As of ``Path.glob``, e.g. ``"*/*.flac"``.
        origin: What to do where there are none: where the corpus is to be had.

    Raises:
        UsageError: If the directory is missing or nothing in it matches.
    """
    found = sorted(path for path in root.glob(pattern) if not is_hidden(path.relative_to(root)))
    if not found:
        what = f"no {pattern} in it" if root.is_dir() else "there is no such directory"
        raise UsageError(f"{root}: {what}; {origin}")
    return found


def safe_name(name: str) -> str:
    """Return a name that can be an utterance id and a file name."""
    return UNSAFE.sub("_", name.replace("/", "-")).strip(".") or "audio"


def stable_hash(text: str) -> int:
    """Return 64 bits that are the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8])


def draw(names: Iterable[str], count: int, seed: int) -> list[str]:
    """Return ``count`` of the names (all, if there are fewer), sorted; which ones the seed alone decides.

    The draw does not depend on the order of the names, and a larger one holds a smaller one.
    """
    return sorted(sorted(set(names), key=lambda name: stable_hash(f"{seed} {name}"))[:count])


def draw_excerpt(path: str | Path, seconds: float, generator: random.Random) -> float | None:
    """Return where an excerpt of a recording begins (s), or None if none that is not silent was found.

    Only excerpts are read, not the recording.

    Raises:
        EvaganError: If it cannot be read.
    """
    with open_recording(path) as recording:
        rate, length = recording.sample_rate, len(recording)
        room = length / rate - seconds
        for _ in range(ATTEMPTS if room >= 0 else 0):
            start = int(1000 * generator.uniform(0, room)) / 1000
            first = round(start * rate)
            item = recording.channels(first, min(first + round(seconds * rate), length))
            if np.sqrt(np.mean(np.square(item), dtype=np.float64)) > 10 ** (SILENCE_DB / 20):
                return start
    return None


def hold_out_speakers(data: DataDir, count: int, seed: int) -> tuple[DataDir, DataDir]:
    """Return the utterances of all speakers but ``count`` drawn ones, and those of these.

    Raises:
        UsageError: If no speaker would be left.
    """
    speakers = set(data.utt2spk.values())
    if not 0 < count < len(speakers):
        raise UsageError(f"{count} of {len(speakers)} speakers cannot be held out: one at least on both sides")
    held_out = set(draw(speakers, count, seed))
    held = {utterance for utterance, speaker in data.utt2spk.items() if speaker in held_out}
    return data.subset(data.utt2spk.keys() - held), data.subset(held)
