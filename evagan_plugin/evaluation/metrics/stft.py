"""Multi-resolution STFT distance (M-STFT)."""

import numpy as np
import torch

from evagan_plugin.evaluation.metrics.base import Metric, NotScored, Sums, require_quietly

SHORTEST = 2048 // 2 + 1
"""Samples; a centred transform of 2048 points reflects half of that at each end."""


class MultiResolutionSTFT:
    """auraloss' ``MultiResolutionSTFTLoss`` with its defaults, at the rate of the audio, one utterance at a time."""

    metrics = (
        Metric(
            name="m_stft",
            label="M-STFT",
            unit="",
            better="lower",
            pooling="mean of utterances",
            definition="auraloss MultiResolutionSTFTLoss, defaults (spectral convergence + L1 of ln magnitude, "
            "3 resolutions), at the rate of the audio",
        ),
    )

    def prepare(self) -> None:
        self._distance = require_quietly("auraloss").freq.MultiResolutionSTFTLoss()

    def analyse(self, wav: np.ndarray, sample_rate: int) -> torch.Tensor:
        if wav.size < SHORTEST:
            raise NotScored(f"{wav.size} samples are shorter than {SHORTEST}")
        return torch.from_numpy(wav).view(1, 1, -1)

    def compare(self, reference: torch.Tensor, hypothesis: torch.Tensor) -> dict[str, Sums]:
        with torch.no_grad():
            return {"m_stft": (float(self._distance(hypothesis, reference)), 1.0)}
