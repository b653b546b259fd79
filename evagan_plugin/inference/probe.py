"""A mel to try generators on: alike in each run, and about as loud as recordings are."""

import torch
from torch import Tensor

from evagan_plugin.config import MelConfig
from evagan_plugin.model.generator import LOG_MEL_DEVIATION, LOG_MEL_MEAN


def typical_mel(mel: MelConfig, items: int, frames: int) -> Tensor:
    """Return noise (items, n_mels, frames) with the mean and the deviation of log-mels, the same at each call."""
    noise = torch.randn(items, mel.n_mels, frames, generator=torch.Generator().manual_seed(0))
    return mel.log_scale * (LOG_MEL_MEAN + LOG_MEL_DEVIATION * noise)
