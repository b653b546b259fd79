"""Corpora for the tests of the metrics."""

from metric_signals import corpus  # noqa: F401
