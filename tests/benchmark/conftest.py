"""Corpora for the scoring benchmark."""

from metric_signals import corpus  # noqa: F401
