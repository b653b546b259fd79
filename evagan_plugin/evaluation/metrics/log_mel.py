"""Distance of log-mel spectrograms."""

from functools import cache

import numpy as np
import torch

from evagan_plugin.audio.mel import MelSpectrogram, metric_mel
from evagan_plugin.config import MelConfig
from evagan_plugin.evaluation.metrics.base import Metric, NotScored, Sums


@cache
def mel_transform(config: MelConfig) -> MelSpectrogram:
    """Return the transform of a config, made once per process."""
    return MelSpectrogram(config).eval()


def log_mel_l1(wav_ref: np.ndarray, wav_hyp: np.ndarray, sample_rate: int) -> float:
    """Mean absolute difference of two log-mel spectrograms (ln, :func:`~evagan_plugin.audio.mel.metric_mel`).

    Args:
        wav_ref: Reference samples ``(T,)``, float32.
        wav_hyp: Samples ``(T,)`` of the system.
        sample_rate: Of both, in Hz.

    Raises:
        NotScored: If the signals are shorter than the padding of the transform.
    """
    family = LogMel()
    sums = family.compare(family.analyse(wav_ref, sample_rate), family.analyse(wav_hyp, sample_rate))
    return family.metrics[0].value(sums["log_mel_l1"])


class LogMel:
    """L1 of log-mel spectrograms, built from the project's one mel."""

    metrics = (
        Metric(
            name="log_mel_l1",
            label="log-mel L1",
            unit="ln",
            better="lower",
            pooling="mean of utterances",
            definition="mean absolute difference of log-mel spectrograms: 80 bands (Slaney) from 0 to sr/2, ln, "
            "floor 1e-5, 1024/256 points up to 24 kHz, 2048/512 above",
        ),
    )

    def prepare(self) -> None:
        """Nothing to load: the mel is the package's own."""

    def analyse(self, wav: np.ndarray, sample_rate: int) -> torch.Tensor:
        config = metric_mel(sample_rate)
        if wav.size < config.n_fft:
            raise NotScored(f"{wav.size} samples are shorter than {config.n_fft}")
        with torch.no_grad():
            return mel_transform(config)(torch.from_numpy(wav).view(1, 1, -1))

    def compare(self, reference: torch.Tensor, hypothesis: torch.Tensor) -> dict[str, Sums]:
        return {"log_mel_l1": (float((reference - hypothesis).abs().mean()), 1.0)}
