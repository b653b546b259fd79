"""``evagan score``: objective metrics of systems against a reference."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from evagan_plugin.cli.options import (
    AllowPipes,
    Device,
    GroundTruth,
    Manifest,
    Metrics,
    PartOfWork,
    Periodicity,
    Processes,
    Reference,
    Results,
    SkipBroken,
    Systems,
)
from evagan_plugin.evaluation.options import ScoringOptions


def score(
    reference: Reference,
    systems: Systems,
    metrics: Metrics = ScoringOptions.metrics,
    periodicity: Periodicity = ScoringOptions.periodicity,
    out: Annotated[
        Path | None, typer.Option(help="Directory for tables, JSON and CSV; an interrupted run goes on from there.")
    ] = None,
    results: Results = None,
    versa: Annotated[
        Path | None,
        typer.Option(help="Also write JSON lines as VERSA does; of several systems FILE.SYSTEM.jsonl each."),
    ] = None,
    manifest: Manifest = ScoringOptions.manifest,
    ground_truth: GroundTruth = ScoringOptions.ground_truth,
    skip_broken: SkipBroken = False,
    nj: Processes = ScoringOptions.nj,
    device: Device = ScoringOptions.device,
    part: PartOfWork = None,
    allow_pipes: AllowPipes = ScoringOptions.allow_pipes,
) -> None:
    """Score systems: M-STFT, PESQ, log-mel L1, periodicity and voicing, with 95 % intervals, as one table."""
    from evagan_plugin.data.systems import check_sources, parse_systems
    from evagan_plugin.errors import UsageError

    if part and not out:
        raise UsageError("--part needs --out, where the scores of all parts meet")
    named = parse_systems(systems)
    check_sources(reference, *named.values())  # before torch is imported, which takes seconds

    from evagan_plugin.evaluation.report.markdown import scores_markdown
    from evagan_plugin.evaluation.report.write import write_results, write_scores
    from evagan_plugin.evaluation.scoring import ScoringPlan, score_part

    options = ScoringOptions(metrics, periodicity, manifest, ground_truth, nj, device, allow_pipes=allow_pipes)
    if part:
        typer.echo(f"part {part}: {score_part(reference, named, options, out, part)} utterances scored", err=True)
        return
    scores = ScoringPlan.of(reference, named, options).run(out)
    typer.echo(scores_markdown(scores))
    if out:
        for path in write_scores(scores, out):
            typer.echo(path, err=True)
    if versa:
        from evagan_plugin.evaluation.versa import write_versa

        for path in write_versa(scores, versa):
            typer.echo(path, err=True)
    if results:
        write_results(scores, results, ["evagan", *sys.argv[1:]])
        typer.echo(results, err=True)
    if not skip_broken:
        scores.check_complete()
