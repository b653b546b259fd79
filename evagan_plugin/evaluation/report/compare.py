"""Several systems against one reference: :func:`compare_systems`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from evagan_plugin.data.systems import (
    REFERENCE,
    Item,
    check_system_names,
    common_sample_rate,
    match,
    read_categories,
)
from evagan_plugin.errors import UsageError
from evagan_plugin.evaluation.metrics.catalogue import select_metrics
from evagan_plugin.evaluation.models import Costs, measure_costs, open_models
from evagan_plugin.evaluation.report.latex import comparison_of_systems, latex
from evagan_plugin.evaluation.report.page import render_page
from evagan_plugin.evaluation.report.published import Protocol, find_protocol
from evagan_plugin.evaluation.report.scores import as_dict, detail_blocks, headline, utterances_csv
from evagan_plugin.evaluation.report.tables import Table
from evagan_plugin.evaluation.report.worst import Ranking, choose_ranking
from evagan_plugin.evaluation.scoring import Scores, score_systems
from evagan_plugin.evaluation.utterance import GROUND_TRUTH
from evagan_plugin.utils.files import write_text


@dataclass(frozen=True)
class CompareOptions:
    """How systems are compared; the first six are those of :func:`score_systems`."""

    metrics: str = "fast"
    periodicity: str | None = None
    manifest: str | Path | None = None
    ground_truth: bool = False
    nj: int = 1
    device: str = "cpu"
    """Where networks run: those of metrics, and the models whose speed is measured."""
    models: Mapping[str, str] = field(default_factory=dict)
    """By system, the model that made it: a checkpoint, ``bigvgan:PATH`` or ``vocos:PATH``."""
    rounds: int = 5
    """Timed syntheses of each model."""
    protocol: str | None = None
    """Whose published figures are printed beside, see :data:`~evagan_plugin.evaluation.report.published.PROTOCOLS`."""
    worst_by: str | None = None
    """Metric that ranks utterances; by default M-STFT."""
    worst_of: str | None = None
    """System whose worst utterances are shown; by default the first."""


@dataclass(frozen=True)
class Comparison:
    """What a comparison found."""

    scores: Scores
    costs: Costs | None
    """Of the systems that have a model; None if none has."""
    protocol: Protocol | None
    ranking: Ranking
    items: list[Item]
    """The audio that was scored."""

    @cached_property
    def table(self) -> Table:
        """The table of all systems."""
        return comparison_of_systems(self.scores, self.costs)

    @cached_property
    def markdown(self) -> str:
        """The table of systems, the published figures below it, and the details that ``evagan score`` prints."""
        blocks = [headline(self.scores), self.table.markdown()]
        if self.protocol:
            blocks += [f"### {self.protocol.title}", self.protocol.table().markdown()]
        return "\n\n".join([*blocks, *self.notes, *detail_blocks(self.scores)]) + "\n"

    @property
    def notes(self) -> list[str]:
        """What a reader of the tables must know."""
        notes = [self.costs.method] if self.costs else []
        measured = {metric.name for metric in self.scores.metrics}
        lacking = [name for name in self.protocol.metrics if name not in measured] if self.protocol else []
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
    if not systems:
        raise UsageError("no system to compare")
    check_system_names(systems, taken=(REFERENCE, GROUND_TRUTH))
    metrics = select_metrics(options.metrics, options.periodicity)
    ranking = choose_ranking(metrics, systems, options.worst_by, options.worst_of)
    items, _ = match(reference, systems, read_categories(options.manifest) if options.manifest else None)
    sample_rate = common_sample_rate(items)
    protocol = find_protocol(options.protocol, sample_rate) if options.protocol else None
    vocoders = open_models(options.models, systems, options.device)
    costs = measure_costs(vocoders, options.models, options.device, options.rounds) if vocoders else None
    del vocoders  # scoring processes need the memory
    scores = score_systems(
        reference,
        systems,
        options.metrics,
        periodicity=options.periodicity,
        nj=options.nj,
        out=out,
        manifest=options.manifest,
        ground_truth=options.ground_truth,
        device=options.device,
    )
    return Comparison(scores, costs, protocol, ranking, items)


def write_comparison(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write ``comparison.md``, ``.json`` and ``.tex``, ``utterances.csv`` and ``report.html``; return their paths."""
    folder = Path(folder)
    texts = {
        "comparison.md": comparison.markdown,
        "comparison.json": json.dumps(comparison_dict(comparison), indent=2, ensure_ascii=False) + "\n",
        "comparison.tex": render_latex(comparison),
        "utterances.csv": utterances_csv(comparison.scores),
        "report.html": render_page(comparison),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def render_latex(comparison: Comparison) -> str:
    """Return the table of systems, then the published figures, as LaTeX."""
    parts = [r"% Needs \usepackage{booktabs}. " + headline(comparison.scores), latex(comparison.table)]
    if comparison.protocol:
        parts.append(latex(comparison.protocol.table(), comparison.protocol.title))
    return "\n".join([*parts, *(f"% {note}" for note in comparison.notes)]).rstrip() + "\n"


def comparison_dict(comparison: Comparison) -> dict[str, Any]:
    """Return the scores as ``scores.json`` has them, with ``cost`` by system, ``speed``, ``published``, ``worst``."""
    content = as_dict(comparison.scores)
    costs = comparison.costs.by_system if comparison.costs else {}
    for name, system in content["systems"].items():
        system["cost"] = asdict(costs[name]) if name in costs else None
    content["speed"] = {"device": comparison.costs.device, "rounds": comparison.costs.rounds} if costs else None
    content["published"] = comparison.protocol.as_dict() if comparison.protocol else None
    content["worst"] = {"metric": comparison.ranking.metric.name, "system": comparison.ranking.system}
    return content
