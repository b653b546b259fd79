"""STOI and extended STOI: short-time objective intelligibility."""

import warnings

import numpy as np

from evagan_plugin.evaluation.metrics.base import Metric, NotScored, Sums, require_quietly

SHORTEST_SECONDS = 0.4
"""What is not silent must last so long: the measure looks at stretches of 30 frames (12.8 ms apart)."""


def _metric(name: str, label: str, how: str) -> Metric:
    return Metric(
        name=name,
        label=label,
        unit="",
        better="higher",
        pooling="mean of utterances",
        definition=f"pystoi, {how}; it resamples to 10 kHz and leaves out frames that are silent in the reference",
        speech_only=True,
    )


class Intelligibility:
    """``pystoi``: STOI (Taal et al. 2011) and ESTOI (Jensen and Taal 2016), at the rate of the audio."""

    metrics = (_metric("stoi", "STOI", "extended=False"), _metric("estoi", "ESTOI", "extended=True"))

    def prepare(self) -> None:
        self._stoi = require_quietly("pystoi").stoi

    def analyse(self, wav: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int]:
        if wav.size < SHORTEST_SECONDS * sample_rate:
            raise NotScored(f"{wav.size / sample_rate:.3f} s are shorter than {SHORTEST_SECONDS} s")
        if not wav.any():
            raise NotScored("silent")
        return wav, sample_rate

    def compare(self, reference: tuple[np.ndarray, int], hypothesis: tuple[np.ndarray, int]) -> dict[str, Sums]:
        (clean, sample_rate), (copy, _) = reference, hypothesis
        with warnings.catch_warnings():
            # The library's way to say that fewer than 30 frames are left: it warns, and returns a made-up figure.
            warnings.simplefilter("error", RuntimeWarning)
            try:
                scores = [float(self._stoi(clean, copy, sample_rate, extended)) for extended in (False, True)]
            except RuntimeWarning:
                raise NotScored(f"less than {SHORTEST_SECONDS} s of it are not silent") from None
        if not np.isfinite(scores).all():
            raise NotScored("STOI gives no finite score")
        return {metric.name: (score, 1.0) for metric, score in zip(self.metrics, scores, strict=True)}
