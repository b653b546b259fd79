"""Arguments and options that several commands share, each with one help text."""

from pathlib import Path
from typing import Annotated

import typer

from evagan_plugin.utils.parts import Part

Reference = Annotated[Path, typer.Argument(metavar="REF", help="Directory of audio, wav.scp, or an audio file.")]
Systems = Annotated[list[str], typer.Argument(metavar="HYP...", help="The same of each system: PATH or NAME=PATH.")]
Metrics = Annotated[str, typer.Option(help="fast, full, or metric names; comma-separated.")]
Periodicity = Annotated[
    str | None, typer.Option(help="CREPE network of the pitch metrics: tiny (fast set) or full (full set).")
]
Manifest = Annotated[Path | None, typer.Option(help="Table (TSV) with columns utt_id and category.")]
GroundTruth = Annotated[
    bool, typer.Option("--ground-truth", help="Add a row for the reference itself, through a 16-bit WAV.")
]
Results = Annotated[Path | None, typer.Option(help="Also write a results page (Markdown) here.")]
SkipBroken = Annotated[
    bool, typer.Option("--skip-broken", help="End with status 0 although utterances are missing or broken.")
]
Processes = Annotated[int, typer.Option(min=1, help="Number of processes.")]
Device = Annotated[str, typer.Option(help="Where networks run: cpu, cuda, cuda:1, ...")]
VersaScores = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=FILE",
        help="Result file of VERSA (JSON lines) for a system: its figures join as further columns. May be given again.",
    ),
]
PartOfWork = Annotated[
    Part | None,
    typer.Option(
        "--part",
        metavar="K/N",
        parser=Part.parse,
        help="Do only part K of N, in an array of jobs; then run once without.",
    ),
]
AllowPipes = Annotated[
    bool, typer.Option("--allow-pipes", help="Run the commands (`... |`) of a wav.scp, which can do anything.")
]
