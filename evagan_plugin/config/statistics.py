"""What the mels were that a vocoder was trained on, in four numbers."""

from pydantic import FiniteFloat, NonNegativeFloat
from pydantic.dataclasses import dataclass

from evagan_plugin.config.fields import STRICT


@dataclass(frozen=True, config=STRICT)
class MelStatistics:
    """Mean, deviation and range of the values of a training's log-mels, over all bands; measured, never set."""

    mean: FiniteFloat
    """Mean of all values."""
    deviation: NonNegativeFloat
    """Standard deviation of all values."""
    lowest: FiniteFloat
    """Lowest value."""
    highest: FiniteFloat
    """Highest value."""
