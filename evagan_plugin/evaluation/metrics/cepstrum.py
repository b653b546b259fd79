"""Mel-cepstral distortion, two of them: they differ by their constants and their scale and are never one column."""

import math

import numpy as np
import torch
import torchaudio

from evagan_plugin.evaluation.metrics.base import Metric, NotScored, Sums, require_quietly
from evagan_plugin.evaluation.metrics.child import Child, ChildDied

NATIVE = "evagan_plugin.evaluation.metrics.vocal_tract"
"""What runs in a process of its own."""
DECIBEL = 10 / math.log(10) * math.sqrt(2)
"""Kubichek's factor from the distance of cepstra to dB."""


class WorldCepstrum:
    """Distortion of WORLD's spectral envelope: level and timing of frames count as they are."""

    SHORTEST_SECONDS = 0.1
    FRAME_MS = 5.0
    ORDER = 24

    metrics = (
        Metric(
            name="mcd_world",
            label="MCD (WORLD), dB",
            unit="dB",
            better="lower",
            pooling="mean of utterances",
            definition="mel-cepstral distortion of WORLD's envelope (dio, stonemask, cheaptrick, 5 ms) at the rate of "
            "the audio, order 24, alpha of that rate, c1 to c24, frames not warped",
            speech_only=True,
        ),
    )

    def prepare(self) -> None:
        for library in ("pyworld", "pysptk"):
            require_quietly(library)
        self._analyse = Child(NATIVE, "world_cepstrum")

    def analyse(self, wav: np.ndarray, sample_rate: int) -> np.ndarray:
        if wav.size < self.SHORTEST_SECONDS * sample_rate:
            raise NotScored(f"{wav.size / sample_rate:.3f} s are shorter than {self.SHORTEST_SECONDS} s")
        return _measured(self._analyse, wav, sample_rate, self.FRAME_MS, self.ORDER)

    def compare(self, reference: np.ndarray, hypothesis: np.ndarray) -> dict[str, Sums]:
        distance = np.sqrt(np.square(reference - hypothesis).sum(axis=1)).mean()
        return {"mcd_world": _finite(DECIBEL * distance)}


class GeneralisedCepstrum:
    """Distortion of mel-generalised cepstra after time warping, with the constants of ttslr's python-MCD."""

    SAMPLE_RATE = 22050
    FRAME = 1024
    HOP = 256
    ORDER, ALPHA, GAMMA = 25, 0.41, -1 / 5
    FLOOR = 1e-3
    """Added to the power spectrum, so that digital silence has a cepstrum. It moves no coefficient of a frame with
    16-bit noise by more than 1e-4."""

    metrics = (
        Metric(
            name="mcd_ttslr",
            label="MCD (ttslr), dB",
            unit="dB",
            better="lower",
            pooling="mean of utterances",
            definition="mel-cepstral distortion as ttslr/python-MCD: audio resampled to 22.05 kHz by torchaudio's "
            "defaults, 16-bit scale, Blackman 1024/256, SPTK "
            "mgcep order 25, alpha 0.41, gamma -1/5, c0 included, mean over the path of dynamic time warping",
            speech_only=True,
        ),
    )

    def prepare(self) -> None:
        require_quietly("pysptk")
        self._analyse = Child(NATIVE, "generalised_cepstrum")
        self._librosa = require_quietly("librosa")

    def analyse(self, wav: np.ndarray, sample_rate: int) -> np.ndarray:
        wav = torchaudio.functional.resample(torch.from_numpy(wav), sample_rate, self.SAMPLE_RATE).numpy()
        if wav.size < self.FRAME:
            raise NotScored(f"{wav.size} samples at {self.SAMPLE_RATE} Hz are shorter than {self.FRAME}")
        samples = np.clip(np.round(wav * 32768.0), -32768, 32767)
        settings = (self.FRAME, self.HOP, self.ORDER, self.ALPHA, self.GAMMA, self.FLOOR)
        try:
            return _measured(self._analyse, samples, *settings)
        except RuntimeError as error:
            raise NotScored(f"mgcep fails: {error}") from None

    def compare(self, reference: np.ndarray, hypothesis: np.ndarray) -> dict[str, Sums]:
        _, path = self._librosa.sequence.dtw(reference.T, hypothesis.T, metric="euclidean")
        difference = reference[path[:, 0]] - hypothesis[path[:, 1]]
        distance = np.sqrt(np.square(difference).sum(axis=1)).mean()
        return {"mcd_ttslr": _finite(DECIBEL * distance)}


def _measured(analyse: Child, *arguments: object) -> np.ndarray:
    try:
        return analyse(*arguments)
    except ChildDied as death:
        raise NotScored(f"its library ends the process ({death})") from None


def _finite(value: float) -> Sums:
    if not np.isfinite(value):
        raise NotScored("the cepstrum is not finite")
    return float(value), 1.0
