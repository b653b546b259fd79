"""Whether features can be the log-mels that a vocoder knows, and what they are likely to be if not."""

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

from evagan_plugin.config import MelConfig, MelStatistics

if TYPE_CHECKING:
    from torch import Tensor

LOGARITHMS = {"natural logarithms": 1.0, "log10": 1 / math.log(10), "decibels": 20 / math.log(10)}
"""Factor from natural logarithms to what log-mels of another make are likely to be."""
TYPICAL_MEAN = -5.5
"""Mean of natural log-mels of recordings, about."""
FEW_FRAMES = 10
"""Fewer frames than this say nothing about what features are."""
BELOW = 0.1
"""Natural logarithms that rounding may take a value below the floor."""
ALIKE = 1.0
"""Largest :func:`_distance` of features that are taken for what they are compared with."""
FAR = 2.0
"""Deviations beyond the range of the training's mels where nothing is a mel of that make any more."""


class MelWatch:
    """Looks at the mels that go into a vocoder and warns once, in one line.

    Args:
        config: What they must be.
        known: What the vocoder was trained on, where that is known.
        logger: Who warns.
    """

    def __init__(self, config: MelConfig, known: MelStatistics | None, logger: logging.Logger) -> None:
        self.config, self.known, self.logger = config, known, logger
        self._warned = False

    def look(self, mel: "Tensor", source: str | Path, floor: float | None = None, factor: float = 1.0) -> None:
        """Warn if a mel can hardly be the vocoder's.

        Args:
            mel: (..., n_mels, F), finite.
            source: How it is called.
            floor: The lower floor of one that is still to be clamped.
            factor: What it was multiplied with to be of this vocoder's logarithm.
        """
        doubt = None if self._warned else unlikely_mel(mel, self.config, self.known, floor, factor)
        if doubt:
            self._warned = True
            self.logger.warning(
                "%s is likely %s: features other than this vocoder's log-mels give noise", source, doubt
            )


def unlikely_mel(
    mel: "Tensor",
    config: MelConfig,
    known: MelStatistics | None = None,
    floor: float | None = None,
    factor: float = 1.0,
) -> str | None:
    """Return what features are likely to be if they can hardly be log-mels of this definition, else None.

    Their range tells: no value lies below the floor, recordings have natural log-mels of about -11 to 2 with a mean
    near :data:`TYPICAL_MEAN`, and those of another logarithm, in linear units or normalised lie elsewhere. Where it is
    known what the vocoder was trained on, that stands in for what is typical.

    Args:
        mel: (..., n_mels, F), finite.
        config: The definition.
        known: Of the mels that the vocoder was trained on.
        floor: The lower floor of mels that are still to be clamped to the definition's.
        factor: What they were multiplied with to be of its logarithm.
    """
    if mel.shape[-1] < FEW_FRAMES:
        return None
    values, unit = mel.detach().cpu().double(), config.log_scale  # a mean of the largest floats is none
    lowest = unit * math.log(min(floor or config.floor, config.floor))
    below = float(values.min()) < lowest - BELOW * unit
    if not below:
        values = values.clamp(min=unit * math.log(config.floor))
    seen = MelStatistics(*(float(x) for x in (values.mean(), values.std(), values.min(), values.max())))
    known = known if known and known.deviation else None
    if known and not below and _distance(seen, known) < ALIKE:
        return None
    cause = _below(seen, config, known) if below else _cause(seen, config, known, lowest, factor)
    if not cause and known:
        margin = FAR * known.deviation
        beyond = seen.highest > known.highest + margin or seen.lowest < known.lowest - margin
        cause = "of another make" if beyond else None
    if not cause:
        return None
    trained = f", trained on {known.lowest:.1f} to {known.highest:.1f}, mean {known.mean:.1f}" if known else ""
    return (
        f"{cause} (values {seen.lowest:.1f} to {seen.highest:.1f}, mean {seen.mean:.1f}, the floor here is "
        f"{lowest:.1f}{trained})"
    )


def _below(seen: MelStatistics, config: MelConfig, known: MelStatistics | None) -> str:
    """Return what features are likely to be that lie below the floor."""
    typical = known.mean / config.log_scale if known else TYPICAL_MEAN
    likely = min(LOGARITHMS, key=lambda name: abs(seen.mean / LOGARITHMS[name] - typical))
    other = not math.isclose(LOGARITHMS[likely] * config.gain, config.log_scale)
    return likely if other else f"with a lower floor than {config.floor:g} (or of another gain)"


def _cause(
    seen: MelStatistics, config: MelConfig, known: MelStatistics | None, lowest: float, factor: float
) -> str | None:
    unit = config.log_scale
    if seen.lowest >= 0 and lowest < -unit:
        linear = "linear, without a logarithm" if seen.highest > 0 else None
        return "normalised to 0 to 1" if 0.5 < seen.highest / factor <= 1 else linear
    if abs(seen.mean) < 0.5 * factor and 0.5 < seen.deviation / factor < 1.7:
        return "normalised to mean 0 and deviation 1"
    if abs(seen.lowest / factor + 4) < 0.01 and seen.highest / factor < 4.01:
        return "normalised to -4 to 4"
    if known:
        return _nearest_make(seen, known, unit)
    if seen.lowest > -5.3 * unit:
        return next((name for name, scale in LOGARITHMS.items() if _is_typical(seen, scale, unit)), None)
    return None


def _is_typical(seen: MelStatistics, scale: float, unit: float) -> bool:
    """Whether values are what a smaller logarithm than one's own gives of recordings."""
    smaller = scale < 0.9 * unit and seen.lowest > -11.7 * scale
    return smaller and -9 < seen.mean / scale < -2.5 and 1.2 < seen.deviation / scale < 3.5


def _nearest_make(seen: MelStatistics, known: MelStatistics, unit: float) -> str | None:
    """Return the other logarithm in which the training's mels would be like these, None if there is none."""
    distances = {}
    for name, scale in LOGARITHMS.items():
        factor = scale / unit
        there = MelStatistics(*(factor * value for value in (known.mean, known.deviation, known.lowest, known.highest)))
        within = there.lowest - 0.1 * there.deviation <= seen.lowest and seen.highest <= there.highest + there.deviation
        if within and not math.isclose(factor, 1.0):
            distances[name] = _distance(seen, there)
    nearest = min(distances, key=distances.get, default=None)
    return nearest if nearest and distances[nearest] < ALIKE else None


def _distance(seen: MelStatistics, other: MelStatistics) -> float:
    """Return how far the mean is in deviations, and twice how far the deviation is in its logarithm, together."""
    if not seen.deviation:
        return math.inf
    return abs(seen.mean - other.mean) / other.deviation + 2 * abs(math.log(seen.deviation / other.deviation))
