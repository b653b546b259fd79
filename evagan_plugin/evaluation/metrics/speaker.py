"""Similarity of voices: cosine of speaker embeddings."""

import numpy as np

from evagan_plugin.evaluation.metrics.base import Metric, NotScored, Sums, require_quietly

SHORTEST_SECONDS = 0.4
"""Of speech, after silences are cut out."""
SAMPLE_RATE = 16000


class SpeakerCosine:
    """Cosine of resemblyzer's embeddings of reference and hypothesis.

    Args:
        device: Where the network runs.
    """

    metrics = (
        Metric(
            name="speaker_cosine",
            label="speaker cosine",
            unit="",
            better="higher",
            pooling="mean of utterances",
            definition="cosine of resemblyzer's speaker embeddings (audio resampled to 16 kHz by librosa, volume "
            "raised, long silences cut)",
            speech_only=True,
        ),
    )

    def __init__(self, device: str = "cpu"):
        self.device = device

    def prepare(self) -> None:
        self._library = require_quietly("resemblyzer")
        self._encoder = self._library.VoiceEncoder(self.device, verbose=False)

    def analyse(self, wav: np.ndarray, sample_rate: int) -> np.ndarray:
        if not wav.any():
            raise NotScored("silent")
        speech = self._library.preprocess_wav(wav.clip(-1.0, 1.0), source_sr=sample_rate)
        if speech.size < SHORTEST_SECONDS * SAMPLE_RATE:
            raise NotScored(f"{speech.size / SAMPLE_RATE:.2f} s of speech are less than {SHORTEST_SECONDS} s")
        return self._encoder.embed_utterance(speech)

    def compare(self, reference: np.ndarray, hypothesis: np.ndarray) -> dict[str, Sums]:
        # Embeddings have length 1.
        return {"speaker_cosine": (float(reference @ hypothesis), 1.0)}
