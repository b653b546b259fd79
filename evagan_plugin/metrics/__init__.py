"""Objective metrics: ``score_systems`` measures, ``report`` renders, ``log_mel_l1`` is the mel distance alone."""

from evagan_plugin.metrics.mel import log_mel_l1
from evagan_plugin.metrics.report import render_markdown, results_page, write_scores
from evagan_plugin.metrics.scoring import Scores, score_systems

__all__ = ["Scores", "log_mel_l1", "render_markdown", "results_page", "score_systems", "write_scores"]
