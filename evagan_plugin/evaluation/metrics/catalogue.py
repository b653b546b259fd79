"""Every metric by name, and the sets that the command line offers."""

from collections.abc import Iterable

from evagan_plugin.errors import UsageError, nearest
from evagan_plugin.evaluation.metrics.base import Family, Metric
from evagan_plugin.evaluation.metrics.cepstrum import GeneralisedCepstrum, WorldCepstrum
from evagan_plugin.evaluation.metrics.intelligibility import Intelligibility
from evagan_plugin.evaluation.metrics.log_mel import LogMel
from evagan_plugin.evaluation.metrics.naturalness import DistillMOS
from evagan_plugin.evaluation.metrics.periodicity import Periodicity
from evagan_plugin.evaluation.metrics.pesq import PESQ
from evagan_plugin.evaluation.metrics.speaker import SpeakerCosine
from evagan_plugin.evaluation.metrics.stft import MultiResolutionSTFT

PITCH = ("periodicity_rmse", "vuv_f1", "pitch_rmse_cents")
F0 = ("f0_rmse", "f0_corr")
SETS = {
    "fast": ("m_stft", "pesq_wb", "log_mel_l1", *(f"{name}_tiny" for name in PITCH)),
    "full": (
        "m_stft",
        "pesq_wb",
        "log_mel_l1",
        *PITCH,
        *F0,
        "stoi",
        "estoi",
        "mcd_world",
        "mcd_ttslr",
        "distillmos",
        "speaker_cosine",
    ),
}
"""``full`` measures pitch with CREPE's full network, as papers do, in place of the fast proxy.
Seconds of one core per second of audio and system: fast 0.3, full 10."""


def all_families(device: str = "cpu") -> tuple[Family, ...]:
    """Return every family, its models not loaded yet; ``device`` is where networks run."""
    return (
        MultiResolutionSTFT(),
        PESQ(),
        Intelligibility(),
        LogMel(),
        Periodicity("tiny", device),
        Periodicity("full", device),
        WorldCepstrum(),
        GeneralisedCepstrum(),
        DistillMOS(device),
        SpeakerCosine(device),
    )


def families_for(names: Iterable[str], device: str = "cpu") -> tuple[Family, ...]:
    """Return the families that measure the named metrics."""
    names = set(names)
    return tuple(family for family in all_families(device) if any(metric.name in names for metric in family.metrics))


def select_metrics(wanted: str | Iterable[str] = "fast", periodicity: str | None = None) -> tuple[Metric, ...]:
    """Return metrics by the names of sets and metrics, in the order of the catalogue.

    Args:
        wanted: ``"fast"``, ``"full"``, metric names, or several of these (comma-separated in a string).
        periodicity: ``"tiny"`` or ``"full"``: CREPE's network for the pitch metrics among them.

    Raises:
        UsageError: If a name is unknown (the nearest is named) or nothing is left.
    """
    if periodicity not in (None, "tiny", "full"):
        raise UsageError(f"unknown periodicity network '{periodicity}': {nearest(periodicity, ['tiny', 'full'])}")
    known = {metric.name: metric for family in all_families() for metric in family.metrics}
    parts = [part.strip() for part in wanted.split(",")] if isinstance(wanted, str) else list(wanted)
    names = set()
    for part in filter(None, parts):
        if part not in SETS and part not in known:
            raise UsageError(f"unknown metric '{part}': {nearest(part, [*SETS, *known])}")
        names.update(SETS.get(part, (part,)))
    if periodicity is not None:
        suffix = "_tiny" if periodicity == "tiny" else ""
        names = {_base(name) + suffix if _base(name) in PITCH + F0 else name for name in names}
    if not names:
        raise UsageError("no metric is selected")
    return tuple(metric for name, metric in known.items() if name in names)


def _base(name: str) -> str:
    return name.removesuffix("_tiny")
