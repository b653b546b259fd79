"""End with status 0 if scores have all metrics that are wanted: ``has_metrics.py SCORES_JSON METRICS``."""

import sys

from evagan_plugin.errors import one_line_errors
from evagan_plugin.evaluation.metrics.catalogue import select_metrics
from evagan_plugin.evaluation.scores import Scores

if __name__ == "__main__":
    with one_line_errors("has_metrics.py"):
        measured = {metric.name for metric in Scores.load(sys.argv[1]).metrics}
        sys.exit(not {metric.name for metric in select_metrics(sys.argv[2])} <= measured)
