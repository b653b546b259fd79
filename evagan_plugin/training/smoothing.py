"""Smoothing of a generator's mels, for those of acoustic models (Liu and Song, arXiv 2409.02517)."""

import torch
from torch import Tensor
from torch.nn import functional as F


def smooth(mel: Tensor, width: Tensor, reach: int) -> Tensor:
    """Smooth log-mels over frames, each item by its own width.

    Frame t becomes the mean of the frames t + i with weights max(0, 1 - |i| / (1 + width)): a triangle, of width 0 a
    single frame. At the ends the mean is of the frames that there are. The paper smooths over bands, too; ours does
    not.

    Args:
        mel: Log-mels (B, n_mels, F).
        width: Widths (B,) in frames, from 0 to ``reach``.
        reach: Frames to either side that are looked at.

    Returns:
        Tensor: Log-mels (B, n_mels, F).
    """
    # Counted where the mels are: a list of numbers would be copied there, and waited for.
    offsets = torch.arange(-reach, reach + 1, device=mel.device).to(mel.dtype).abs()
    weights = (1 - offsets / (1 + width.to(mel).unsqueeze(1))).clamp(min=0).unsqueeze(1)
    items, _, frames = mel.shape
    # An item is a channel here, so that each has a filter of its own.
    smoothed = F.conv1d(mel.transpose(0, 1), weights, padding=reach, groups=items)
    present = F.conv1d(mel.new_ones(1, items, frames), weights, padding=reach, groups=items)
    return (smoothed / present).transpose(0, 1)
