"""What a metric is: its name, unit, direction, and how utterances are pooled into one figure of a corpus.

A family measures one utterance and returns, for each of its metrics, a tuple of sums (``(error, 1)``, or squared
error and number of frames). Sums of several utterances add up, and :attr:`Metric.pool` turns the total into the figure.
So the score of an utterance, of a corpus and of a bootstrap sample are one formula.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np

from evagan_plugin.errors import require
from evagan_plugin.utils.numba_cache import make_numba_cache

Sums = tuple[float, ...]


class NotScored(Exception):  # noqa: N818 - an outcome that is reported, not a failure of the program
    """A metric is not defined for an utterance; the message says why."""


def require_quietly(module: str) -> ModuleType:
    """Import a library of the ``score`` extra without its complaints about what *it* imports.

    Several of them still use names that scipy and setuptools have announced to remove.
    """
    make_numba_cache()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return require(module, "score")


def ratio(sums: np.ndarray) -> np.ndarray:
    """Sum over count: ``(..., 2)`` to ``(...)``; NaN where the count is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / sums[..., 1]


def root_mean_square(sums: np.ndarray) -> np.ndarray:
    """Root of squared error over count: ``(..., 2)`` to ``(...)``; NaN where the count is 0."""
    return np.sqrt(ratio(sums))


def f1(sums: np.ndarray) -> np.ndarray:
    """F1 from true positives, false positives, false negatives: ``(..., 3)`` to ``(...)``; NaN if all are 0."""
    hits, false_alarms, misses = sums[..., 0], sums[..., 1], sums[..., 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        return 2 * hits / (2 * hits + false_alarms + misses)


def correlation(sums: np.ndarray) -> np.ndarray:
    """Pearson's correlation from n and the sums of x, y, x squared, y squared, xy: ``(..., 6)`` to ``(...)``.

    NaN where fewer than two pairs are there, or one of them does not vary.
    """
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(np.maximum(n * xx - x * x, 0.0) * np.maximum(n * yy - y * y, 0.0))
        return np.where(n > 1, (n * xy - x * y) / spread, np.nan)


@dataclass(frozen=True)
class MetricInfo:
    """What tables say of a metric: one column of them."""

    name: str
    """Key in JSON, CSV and on the command line."""
    label: str
    """Head of the column in tables."""
    unit: str
    better: Literal["lower", "higher"] | None
    """The better end; None where it is not known."""
    pooling: Literal["mean of utterances", "all frames"]
    definition: str
    """One line: what is computed, with which library."""


@dataclass(frozen=True)
class Metric(MetricInfo):
    """A metric that a family measures."""

    pool: Callable[[np.ndarray], np.ndarray] = ratio
    """Sums ``(..., k)`` to figures ``(...)``."""
    speech_only: bool = False
    """Whether it means nothing for other sounds than speech."""

    def value(self, sums: Sums | np.ndarray) -> float:
        """Return the figure of one set of sums; NaN if it is not defined."""
        return float(self.pool(np.asarray(sums, dtype=np.float64)))


class Family(Protocol):
    """Metrics that share the analysis of a signal, e.g. its pitch track."""

    metrics: tuple[Metric, ...]

    def prepare(self) -> None:
        """Load the library and its model, once per process.

        Raises:
            EvaganError: If a package is missing; the message names the extra.
        """

    def analyse(self, wav: np.ndarray, sample_rate: int) -> Any:
        """Return what :meth:`compare` needs of one signal; a reference is analysed once for all systems.

        Args:
            wav: Samples ``(T,)``, float32.
            sample_rate: In Hz.

        Raises:
            NotScored: If the metrics are not defined for this signal.
        """

    def compare(self, reference: Any, hypothesis: Any) -> Mapping[str, Sums]:
        """Return sums by metric name for a pair of analyses of equally long signals.

        Raises:
            NotScored: If the metrics are not defined for this pair.
        """
