"""How systems are scored and compared: every option with its default, for functions and commands alike."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ScoringOptions:
    """How systems are scored."""

    metrics: str | Iterable[str] = "fast"
    """Sets (``fast``, ``full``) and names of metrics, see
    :func:`~evagan_plugin.evaluation.metrics.catalogue.select_metrics`."""
    periodicity: str | None = None
    """CREPE's network for the pitch metrics, ``tiny`` or ``full``; by default that of the set."""
    manifest: str | Path | None = None
    """Tab-separated table with ``utt_id`` and ``category`` of every utterance; speech metrics are for speech only
    then."""
    ground_truth: bool = False
    """Score the reference itself, copied through a 16-bit WAV, as one more system."""
    nj: int = 1
    """Number of processes."""
    device: str = "cpu"
    """Where networks run, e.g. ``cuda``: those of metrics, and the models whose speed is measured."""
    versa: Mapping[str, str | Path] = field(default_factory=dict)
    """By system, a result file of VERSA whose figures become further columns."""
    allow_pipes: bool = False
    """Run the commands that a ``wav.scp`` may have in the place of files."""


@dataclass(frozen=True)
class CompareOptions(ScoringOptions):
    """How systems are compared."""

    models: Mapping[str, str] = field(default_factory=dict)
    """By system, the model that made it: a checkpoint, ``bigvgan:PATH`` or ``vocos:PATH``."""
    rounds: int = 5
    """Timed syntheses of each model."""
    protocol: str | None = None
    """Whose published figures are printed beside, see :data:`~evagan_plugin.evaluation.report.published.PROTOCOLS`."""
    worst_by: str | None = None
    """Metric that ranks utterances; by default M-STFT."""
    worst_of: str | None = None
    """System whose worst utterances are shown; by default the first."""
