"""Several systems against one reference: :func:`compare_systems`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evagan_plugin.data.names import REFERENCE
from evagan_plugin.data.systems import MatchedUtterance, check_system_names
from evagan_plugin.evaluation.models import Costs, measure_costs, open_models
from evagan_plugin.evaluation.options import CompareOptions
from evagan_plugin.evaluation.report.published import PublishedProtocol, find_protocol
from evagan_plugin.evaluation.report.tables import Table, systems_and_costs_table
from evagan_plugin.evaluation.report.worst import Ranking, choose_ranking
from evagan_plugin.evaluation.scores import Scores
from evagan_plugin.evaluation.scoring import ScoringPlan


@dataclass(frozen=True)
class Comparison:
    """What a comparison found."""

    scores: Scores
    costs: Costs | None
    """Of the systems that have a model; None if none has."""
    protocol: PublishedProtocol | None
    ranking: Ranking
    items: list[MatchedUtterance]
    """The audio that was scored."""

    @cached_property
    def table(self) -> Table:
        """The table of all systems."""
        return systems_and_costs_table(self.scores, self.costs)

    @property
    def notes(self) -> list[str]:
        """What a reader of the tables must know."""
        notes = [self.costs.method] if self.costs else []
        measured = {metric.name for metric in self.scores.metrics}
        lacking = [name for name in self.protocol.own_metrics if name not in measured] if self.protocol else []
        if lacking:
            notes.append(f"Published, but not measured in this run: {', '.join(lacking)} (--metrics full).")
        return notes


def compare_systems(
    reference: str | Path,
    systems: Mapping[str, str | Path],
    out: str | Path,
    options: CompareOptions | None = None,
) -> Comparison:
    """Score systems, measure their models side by side, and keep finished scores in ``out``.

    The same call again goes on from what is there, as :func:`score_systems` does.

    Args:
        reference: Directory of audio, ``wav.scp``, or directory that holds one.
        systems: The same of each system, by name.
        out: Directory of the comparison.
        options: The rest.

    Raises:
        UsageError: For what :func:`score_systems` refuses, an unknown metric, system or protocol, a protocol at another
            sample rate, or a model without a system.
        EvaganError: If a model cannot be opened, or the work fails.
    """
    options = options or CompareOptions()
    check_system_names(systems, taken=(REFERENCE,))
    plan = ScoringPlan.of(reference, systems, options)
    ranking = choose_ranking(plan.metrics, systems, options.worst_by, options.worst_of)
    protocol = find_protocol(options.protocol, plan.sample_rate) if options.protocol else None
    vocoders = open_models(options.models, systems, options.device)
    costs = measure_costs(vocoders, options.models, options.device, options.rounds) if vocoders else None
    del vocoders  # scoring processes need the memory
    return Comparison(plan.run(out), costs, protocol, ranking, plan.items)
