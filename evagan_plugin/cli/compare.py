"""``evagan compare``: several systems against one reference, as one table and one page."""

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
    Periodicity,
    Processes,
    Reference,
    Results,
    SkipBroken,
    VersaScores,
)
from evagan_plugin.evaluation.options import CompareOptions


def compare(
    reference: Reference,
    systems: Annotated[
        list[str], typer.Argument(metavar="SYSTEM...", help="The same of each system: PATH or NAME=PATH.")
    ],
    out: Annotated[Path, typer.Option(help="Directory to write to; an interrupted run goes on from there.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME=MODEL",
            help="Model of a system: NAME=CHECKPOINT or a pretrained name, NAME=bigvgan:PATH or NAME=vocos:PATH; its "
            "parameters and real-time factor join the table. May be given again.",
        ),
    ] = None,
    versa_scores: VersaScores = None,
    protocol: Annotated[
        str | None, typer.Option(help="Published figures to print beside: libritts (24 kHz) or ljspeech (22.05 kHz).")
    ] = CompareOptions.protocol,
    metrics: Metrics = CompareOptions.metrics,
    periodicity: Periodicity = CompareOptions.periodicity,
    manifest: Manifest = CompareOptions.manifest,
    worst_by: Annotated[
        str | None, typer.Option(help="Metric that ranks the worst utterances; M-STFT if it is measured.")
    ] = CompareOptions.worst_by,
    worst_of: Annotated[
        str | None, typer.Option(help="System whose worst utterances are shown; the first.")
    ] = CompareOptions.worst_of,
    rounds: Annotated[
        int, typer.Option(min=1, help="Timed syntheses of each model, interleaved.")
    ] = CompareOptions.rounds,
    ground_truth: GroundTruth = CompareOptions.ground_truth,
    results: Results = None,
    skip_broken: SkipBroken = False,
    nj: Processes = CompareOptions.nj,
    device: Device = CompareOptions.device,
    allow_pipes: AllowPipes = CompareOptions.allow_pipes,
) -> None:
    """Compare systems: all that `evagan score` writes, one table (Markdown, JSON, LaTeX), and a page to hear and see
    the worst utterances."""
    from evagan_plugin.data.systems import check_sources, parse_named, parse_systems

    named = parse_systems(systems)
    models = parse_named("--model", model or [], "NAME=PATH, NAME=bigvgan:PATH or NAME=vocos:PATH")
    versa = parse_named("--versa-scores", versa_scores or [], "NAME=FILE")
    check_sources(reference, *named.values())  # before torch is imported, which takes seconds

    from evagan_plugin.evaluation.report.compare import compare_systems
    from evagan_plugin.evaluation.report.markdown import comparison_markdown
    from evagan_plugin.evaluation.report.write import write_comparison, write_results

    options = CompareOptions(
        metrics=metrics,
        periodicity=periodicity,
        manifest=manifest,
        ground_truth=ground_truth,
        nj=nj,
        device=device,
        models=models,
        versa=versa,
        allow_pipes=allow_pipes,
        rounds=rounds,
        protocol=protocol,
        worst_by=worst_by,
        worst_of=worst_of,
    )
    comparison = compare_systems(reference, named, out, options)
    typer.echo(comparison_markdown(comparison))
    for path in write_comparison(comparison, out):
        typer.echo(f"{path} ({-(-path.stat().st_size // 1000)} kB)", err=True)
    if results:
        write_results(comparison.scores, results, ["evagan", *sys.argv[1:]])
        typer.echo(results, err=True)
    if not skip_broken:
        comparison.scores.check_complete()
