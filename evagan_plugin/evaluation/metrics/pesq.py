"""PESQ, wide band (ITU-T P.862.2)."""

import numpy as np
import torch
import torchaudio

from evagan_plugin.evaluation.metrics.base import Metric, NotScored, Sums, require_quietly
from evagan_plugin.evaluation.metrics.child import Child, ChildDied

SAMPLE_RATE = 16000
SHORTEST_SECONDS = 0.25


class PESQ:
    """``pesq`` at 16 kHz, mode ``wb``, on 16-bit samples; utterances that it cannot score are not scored.

    It runs in a process of its own, which counts the utterances first.
    """

    metrics = (
        Metric(
            name="pesq_wb",
            label="PESQ-wb",
            unit="MOS-LQO",
            better="higher",
            pooling="mean of utterances",
            definition="pesq, 16 kHz, wide band; audio resampled by torchaudio's defaults and clipped to 16 bits; "
            "at most 4.644",
            speech_only=True,
        ),
    )

    def prepare(self) -> None:
        self._pesq = require_quietly("pesq")
        self._measure = Child("evagan_plugin.evaluation.metrics.pesq_guard", "guarded_pesq")

    def analyse(self, wav: np.ndarray, sample_rate: int) -> np.ndarray:
        if wav.size < SHORTEST_SECONDS * sample_rate:
            raise NotScored(f"{wav.size / sample_rate:.3f} s are shorter than {SHORTEST_SECONDS} s")
        wav = torchaudio.functional.resample(torch.from_numpy(wav), sample_rate, SAMPLE_RATE)
        samples = (wav.clamp(-1.0, 1.0) * 32767).to(torch.int16).numpy()
        if not samples.any():
            raise NotScored("silent")
        return samples

    def compare(self, reference: np.ndarray, hypothesis: np.ndarray) -> dict[str, Sums]:
        try:
            score = self._measure(SAMPLE_RATE, reference, hypothesis, "wb")
        except ChildDied as death:
            raise NotScored(f"pesq ends its process ({death})") from None
        except OverflowError as error:
            raise NotScored(str(error)) from None
        except self._pesq.NoUtterancesError:
            raise NotScored("PESQ finds no speech in it") from None
        except (self._pesq.PesqError, ValueError) as error:
            # ValueError: the library's level alignment came out as NaN.
            raise NotScored(f"PESQ fails: {error}") from None
        if not np.isfinite(score):
            raise NotScored("PESQ gives no finite score")
        return {"pesq_wb": (float(score), 1.0)}
