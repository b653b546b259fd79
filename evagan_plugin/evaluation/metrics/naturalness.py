"""DistillMOS: a listener's opinion predicted from the audio alone (Stahl and Gamper 2025)."""

import contextlib
import io

import numpy as np
import torch
import torchaudio

from evagan_plugin.evaluation.metrics.base import Metric, NotScored, Sums, require_quietly

SAMPLE_RATE = 16000
SHORTEST_SECONDS = 4.0


class DistillMOS:
    """Mean opinion score from 1 to 5 without a reference; steps below about 0.05 mean nothing.

    Args:
        device: Where the network runs.
    """

    metrics = (
        Metric(
            name="distillmos",
            label="DistillMOS",
            unit="MOS",
            better="higher",
            pooling="mean of utterances",
            definition="distillmos, no reference; audio resampled to 16 kHz by torchaudio's defaults, utterances "
            "of 4 s and more",
            speech_only=True,
        ),
    )

    def __init__(self, device: str = "cpu"):
        self.device = device

    def prepare(self) -> None:
        library = require_quietly("distillmos")
        # The library prints where its weights are; standard output belongs to the table.
        with contextlib.redirect_stdout(io.StringIO()):
            self._network = library.ConvTransformerSQAModel().to(self.device).eval()

    def analyse(self, wav: np.ndarray, sample_rate: int) -> torch.Tensor:
        if wav.size < SHORTEST_SECONDS * sample_rate:
            raise NotScored(f"{wav.size / sample_rate:.2f} s are shorter than {SHORTEST_SECONDS:g} s")
        if not wav.any():
            raise NotScored("silent")
        return torchaudio.functional.resample(torch.from_numpy(wav), sample_rate, SAMPLE_RATE)

    def compare(self, reference: torch.Tensor, hypothesis: torch.Tensor) -> dict[str, Sums]:
        with torch.no_grad():
            return {"distillmos": (float(self._network(hypothesis[None].to(self.device))), 1.0)}
