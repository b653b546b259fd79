"""Share of speech in a recording, by Silero VAD: its model comes with its package, nothing is downloaded."""

from functools import cache

import numpy as np

from evagan_plugin.audio.io import resample
from evagan_plugin.errors import require

RATE = 16000
"""Hz, of the model."""


def check_speech() -> None:
    """Raise EvaganError if the package silero-vad is missing."""
    _model()


def speech_share(mono: np.ndarray, sample_rate: int) -> float:
    """Return the part of a recording ``(T,)`` that is speech, 0 to 1.

    Raises:
        EvaganError: If the package silero-vad is missing.
    """
    package, model = _model()
    import torch

    wav = torch.from_numpy(resample(np.ascontiguousarray(mono, np.float32), sample_rate, RATE))
    with torch.no_grad():
        found = package.get_speech_timestamps(wav, model, sampling_rate=RATE)
    return min(1.0, sum(stretch["end"] - stretch["start"] for stretch in found) / max(len(wav), 1))


@cache
def _model():
    package = require("silero_vad", "curate")
    return package, package.load_silero_vad()
