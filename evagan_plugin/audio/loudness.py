"""Loudness after ITU-R BS.1770-4."""

import math
import warnings

import numpy as np

from evagan_plugin.errors import require


def loudness_of(wav: np.ndarray, sample_rate: int) -> float:
    """Return integrated loudness in LUFS (ITU-R BS.1770-4); minus infinity for silence.

    Args:
        wav: Samples ``(T,)`` or ``(T, channels)``.
        sample_rate: In Hz.

    Raises:
        EvaganError: If pyloudnorm is missing.
    """
    pyloudnorm = require("pyloudnorm", "listen", "curate")
    # The standard's gating block is 0.4 s; a shorter clip is one block of its own length.
    block = min(0.4, len(wav) / sample_rate)
    with warnings.catch_warnings(), np.errstate(divide="ignore"):
        # pyloudnorm takes the mean of no blocks where all are below the gate: that is silence, handled below.
        warnings.simplefilter("ignore", RuntimeWarning)
        value = pyloudnorm.Meter(sample_rate, block_size=block).integrated_loudness(wav.astype(np.float64))
    return float(value) if math.isfinite(value) else -math.inf
