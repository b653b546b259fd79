"""Statistics that objective scores and listening tests share."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979), in the given order; NaN stays NaN and does not count."""
    values = np.asarray(p_values, dtype=np.float64)
    order = [index for index in np.argsort(values) if not np.isnan(values[index])]
    corrected, highest = values.copy(), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * values[index]))
        corrected[index] = highest
    return corrected.tolist()
