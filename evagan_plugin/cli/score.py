"""``evagan score``: objective metrics of systems against a reference."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def score(
    reference: Annotated[Path, typer.Argument(metavar="REF", help="Directory of audio, or wav.scp.")],
    systems: Annotated[list[str], typer.Argument(metavar="HYP...", help="The same of each system: PATH or NAME=PATH.")],
    metrics: Annotated[str, typer.Option(help="fast, full, or metric names; comma-separated.")] = "fast",
    periodicity: Annotated[
        str | None, typer.Option(help="CREPE network of the pitch metrics: tiny (fast set) or full (full set).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory for tables, JSON and CSV; an interrupted run goes on from there.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Also write a results page (Markdown) here.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="Table (TSV) with columns utt_id and category.")] = None,
    ground_truth: Annotated[
        bool, typer.Option("--ground-truth", help="Add a row for the reference itself, through a 16-bit WAV.")
    ] = False,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="End with status 0 although utterances are missing or broken.")
    ] = False,
    nj: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 1,
    device: Annotated[str, typer.Option(help="Where networks run: cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Score systems: M-STFT, PESQ, log-mel L1, periodicity and voicing, with 95 % intervals, as one table."""
    from evagan_plugin.files import write_text
    from evagan_plugin.metrics.report import render_markdown, results_page, write_scores
    from evagan_plugin.metrics.scoring import score_systems
    from evagan_plugin.metrics.sources import parse_systems

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
