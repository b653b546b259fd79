"""``evagan compare``: several systems against one reference, as one table and one page."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    reference: Annotated[Path, typer.Argument(metavar="REF", help="Directory of audio, or wav.scp.")],
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
            help="Model of a system: NAME=CHECKPOINT, NAME=bigvgan:PATH or NAME=vocos:PATH; its parameters and "
            "real-time factor join the table. May be given again.",
        ),
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="Print published figures beside: libritts (24 kHz).")] = None,
    metrics: Annotated[str, typer.Option(help="fast, full, or metric names; comma-separated.")] = "fast",
    periodicity: Annotated[
        str | None, typer.Option(help="CREPE network of the pitch metrics: tiny (fast set) or full (full set).")
    ] = None,
    manifest: Annotated[Path | None, typer.Option(help="Table (TSV) with columns utt_id and category.")] = None,
    worst_by: Annotated[
        str | None, typer.Option(help="Metric that ranks the worst utterances; M-STFT if it is measured.")
    ] = None,
    worst_of: Annotated[str | None, typer.Option(help="System whose worst utterances are shown; the first.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Timed syntheses of each model, interleaved.")] = 5,
    ground_truth: Annotated[
        bool, typer.Option("--ground-truth", help="Add a row for the reference itself, through a 16-bit WAV.")
    ] = False,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="End with status 0 although utterances are missing or broken.")
    ] = False,
    nj: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 1,
    device: Annotated[str, typer.Option(help="Where networks run: cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Compare systems: one table (Markdown, JSON, LaTeX) and a page to hear and see the worst utterances."""
    from evagan_plugin.compare.comparison import CompareOptions, compare_systems, write_comparison
    from evagan_plugin.compare.models import parse_models
    from evagan_plugin.metrics.sources import parse_systems

    options = CompareOptions(
        metrics=metrics,
        periodicity=periodicity,
        manifest=manifest,
        ground_truth=ground_truth,
        nj=nj,
        device=device,
        models=parse_models(model or []),
        rounds=rounds,
        protocol=protocol,
        worst_by=worst_by,
        worst_of=worst_of,
    )
    comparison = compare_systems(reference, parse_systems(systems), out, options)
    typer.echo(comparison.markdown)
    for path in write_comparison(comparison, out):
        typer.echo(f"{path} ({-(-path.stat().st_size // 1000)} kB)", err=True)
    if not skip_broken:
        comparison.scores.check_complete()
