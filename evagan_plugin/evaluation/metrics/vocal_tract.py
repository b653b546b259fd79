"""What pyworld and pysptk compute, to run in a child: both are native code."""

import numpy as np
import pysptk
import pyworld


def world_cepstrum(samples: np.ndarray, sample_rate: int, frame_ms: float, order: int) -> np.ndarray:
    """Return mel-cepstra (F, order) of WORLD's envelope, c1 to the order, of samples (T,)."""
    samples = samples.astype(np.float64)
    rough, times = pyworld.dio(samples, sample_rate, frame_period=frame_ms)
    pitch = pyworld.stonemask(samples, rough, times, sample_rate)
    envelope = pyworld.cheaptrick(samples, pitch, times, sample_rate)
    return pysptk.sp2mc(envelope, order, pysptk.util.mcepalpha(sample_rate))[:, 1:]


def generalised_cepstrum(
    samples: np.ndarray, frame: int, hop: int, order: int, alpha: float, gamma: float, floor: float
) -> np.ndarray:
    """Return mel-generalised cepstra (F, order + 1) of samples (T,) on a 16-bit scale, under a Blackman window."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), frame)[::hop]
    # The determinant of a silent frame is small without being singular.
    return pysptk.mgcep(frames * pysptk.blackman(frame), order, alpha, gamma, etype=1, eps=floor, min_det=0.0)
