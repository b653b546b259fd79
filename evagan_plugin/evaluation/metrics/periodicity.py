"""Periodicity RMSE, voiced/unvoiced F1 and pitch RMSE as CARGAN measures them (Morrison et al. 2022, section 4.2).

F0 RMSE (Hz) and F0 correlation are of the same pitch track, over the frames that are voiced in both.

The figures with CREPE's tiny network are a fast proxy; they carry names of their own, for they are not comparable
with those of the full network, which papers print.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio

from evagan_plugin.evaluation.metrics.base import (
    Metric,
    NotScored,
    Sums,
    correlation,
    f1,
    require_quietly,
    root_mean_square,
)

SAMPLE_RATE = 22050
"""Hz at which frames are counted; audio of another rate is resampled to it."""
HOP = 256
"""Samples at :data:`SAMPLE_RATE`."""
CREPE_RATE = 16000
CREPE_WINDOW = 1024
PITCH_MIN, PITCH_MAX = 50.0, 550.0
"""Hz."""


@dataclass(frozen=True)
class PitchTrack:
    """Pitch in Hz, periodicity in [0, 1] and voicing of each frame, all ``(F,)``."""

    pitch: torch.Tensor
    periodicity: torch.Tensor
    voiced: torch.Tensor


ROOT, VOICED = "root mean square difference of ", "over frames voiced in both"
METRICS = (
    ("periodicity_rmse", "periodicity RMSE", "", "lower", root_mean_square, ROOT + "periodicity over all frames"),
    ("vuv_f1", "V/UV F1", "", "higher", f1, "F1 of voiced frames over all frames"),
    ("pitch_rmse_cents", "pitch RMSE in cents", "cents", "lower", root_mean_square, f"{ROOT}pitch {VOICED}"),
    ("f0_rmse", "F0 RMSE", "Hz", "lower", root_mean_square, f"{ROOT}pitch in Hz {VOICED}"),
    ("f0_corr", "F0 correlation", "", "higher", correlation, f"Pearson's correlation of pitch in Hz {VOICED}"),
)
"""Name, label, unit, better end, pooling and definition of each, without what the network adds."""


def _metrics(suffix: str, network: str) -> tuple[Metric, ...]:
    how = f"CARGAN's, torchcrepe '{network}', audio resampled to 22.05 kHz, then to 16 kHz by torchaudio's defaults"
    return tuple(
        Metric(
            name=f"{name}{suffix}",
            label=f"{label} (CREPE tiny)" if suffix else label,
            unit=unit,
            better=better,
            pooling="all frames",
            definition=f"{how}: {definition}",
            pool=pool,
            speech_only=True,
        )
        for name, label, unit, better, pool, definition in METRICS
    )


class Periodicity:
    """CARGAN's pitch metrics with one of CREPE's networks.

    Args:
        network: ``full`` (the published metric; 3 s of one core per second of audio) or ``tiny`` (0.2 s).
        device: Where CREPE runs.
    """

    def __init__(self, network: Literal["full", "tiny"], device: str = "cpu"):
        self.network = network
        self.device = device
        self.suffix = "" if network == "full" else "_tiny"
        self.metrics = _metrics(self.suffix, network)

    def prepare(self) -> None:
        self._crepe = require_quietly("torchcrepe")
        self._voicing = self._crepe.threshold.Hysteresis(lower_bound=0.19, upper_bound=0.31, width=0.2, stds=1.7)
        self._silence = self._crepe.threshold.Silence(-60)

    def analyse(self, wav: np.ndarray, sample_rate: int) -> PitchTrack:
        audio = torchaudio.functional.resample(torch.from_numpy(wav)[None], sample_rate, SAMPLE_RATE)
        frames = audio.shape[1] // HOP
        audio = torchaudio.functional.resample(audio, SAMPLE_RATE, CREPE_RATE)
        hop = int(HOP * CREPE_RATE / SAMPLE_RATE)
        padding = (CREPE_WINDOW - hop) // 2
        if frames < 2 or audio.shape[1] <= padding:
            raise NotScored(f"{wav.size / sample_rate:.3f} s are too short for a pitch track")
        audio = F.pad(audio[None], (padding, padding), mode="reflect")[0]
        pitch, periodicity = self._predict(audio, hop)
        # Linear interpolation from CREPE's frames to the frames of the audio; pitch in octaves.
        pitch = 2 ** F.interpolate(pitch.log2()[None], size=frames, mode="linear", align_corners=False)[0]
        periodicity = F.interpolate(periodicity[None], size=frames, mode="linear", align_corners=False)[0]
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            # No voiced frame at all: means over nothing, and every frame is unvoiced.
            warnings.simplefilter("ignore", RuntimeWarning)
            voiced = ~torch.isnan(self._voicing(pitch, periodicity))
        return PitchTrack(pitch[0], periodicity[0], voiced[0])

    def compare(self, reference: PitchTrack, hypothesis: PitchTrack) -> dict[str, Sums]:
        both = reference.voiced & hypothesis.voiced
        first, second = reference.pitch[both].double(), hypothesis.pitch[both].double()
        products = (first, second, first.square(), second.square(), first * second)
        cents = 1200 * (reference.pitch[both].log2() - hypothesis.pitch[both].log2())
        difference = reference.periodicity - hypothesis.periodicity
        false_alarms = (~reference.voiced & hypothesis.voiced).sum()
        misses = (reference.voiced & ~hypothesis.voiced).sum()
        return {
            f"periodicity_rmse{self.suffix}": (float(difference.double().square().sum()), float(difference.numel())),
            f"vuv_f1{self.suffix}": (float(both.sum()), float(false_alarms), float(misses)),
            f"pitch_rmse_cents{self.suffix}": (float(cents.double().square().sum()), float(both.sum())),
            f"f0_rmse{self.suffix}": (float((first - second).square().sum()), float(both.sum())),
            f"f0_corr{self.suffix}": (float(both.sum()), *(float(product.sum()) for product in products)),
        }

    def _predict(self, audio: torch.Tensor, hop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return pitch (Hz) and periodicity, each ``(1, frames)``, of padded audio ``(1, T)`` at 16 kHz."""
        with _seeded():
            pitch, periodicity = self._crepe.predict(
                audio,
                CREPE_RATE,
                hop_length=hop,
                fmin=PITCH_MIN,
                fmax=PITCH_MAX,
                model=self.network,
                return_periodicity=True,
                batch_size=1024,
                device=self.device,
                pad=False,
            )
        return pitch, self._silence(periodicity, audio, CREPE_RATE, hop_length=hop, pad=False)


@contextmanager
def _seeded() -> Iterator[None]:
    """Seed numpy's global generator for the block: torchcrepe dithers pitch with it, and scores must repeat."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)
