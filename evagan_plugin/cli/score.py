"""``evagan score``: objective metrics of systems against a reference."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from evagan_plugin.cli.options import (
    Device,
    GroundTruth,
    Manifest,
    Metrics,
    Periodicity,
    Processes,
    Reference,
    SkipBroken,
    Systems,
)


def score(
    reference: Reference,
    systems: Systems,
    metrics: Metrics = "fast",
    periodicity: Periodicity = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory for tables, JSON and CSV; an interrupted run goes on from there.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Also write a results page (Markdown) here.")] = None,
    manifest: Manifest = None,
    ground_truth: GroundTruth = False,
    skip_broken: SkipBroken = False,
    nj: Processes = 1,
    device: Device = "cpu",
) -> None:
    """Score systems: M-STFT, PESQ, log-mel L1, periodicity and voicing, with 95 % intervals, as one table."""
    from evagan_plugin.data.systems import parse_systems
    from evagan_plugin.evaluation.report.scores import render_markdown, results_page, write_scores
    from evagan_plugin.evaluation.scoring import score_systems
    from evagan_plugin.utils.files import write_text

    scores = score_systems(
        reference,
        parse_systems(systems),
        metrics,
        periodicity=periodicity,
        nj=nj,
        out=out,
        manifest=manifest,
        ground_truth=ground_truth,
        device=device,
    )
    typer.echo(render_markdown(scores))
    if out:
        for path in write_scores(scores, out):
            typer.echo(path, err=True)
    if results:
        write_text(results, results_page(scores, ["evagan", *sys.argv[1:]]))
        typer.echo(results, err=True)
    if not skip_broken:
        scores.check_complete()
