"""``evagan format``: check, resample and downmix a data directory."""

from pathlib import Path
from typing import Annotated

import typer

from evagan_plugin.cli.options import AllowPipes, PartOfWork


def format_(
    data_dir: Annotated[
        Path, typer.Argument(help="Kaldi data directory with wav.scp, a directory of audio, or an audio file.")
    ],
    out_dir: Annotated[Path, typer.Argument(help="Where to write the formatted directory.")],
    sample_rate: Annotated[int, typer.Option(min=1, help="Wanted sample rate in Hz.")],
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Go on without the broken files.")] = False,
    nj: Annotated[int, typer.Option(min=1, help="Number of files worked on at a time.")] = 1,
    part: PartOfWork = None,
    allow_pipes: AllowPipes = False,
) -> None:
    """Write every utterance of a data directory or folder as mono 16-bit WAV of one rate, and list the broken ones."""
    from evagan_plugin.data.formatting import format_data_dir
    from evagan_plugin.errors import EvaganError

    summary = format_data_dir(data_dir, out_dir, sample_rate, skip_broken, nj, allow_pipes, part)
    for line in summary.lines():
        typer.echo(line, err=True)
    if summary.broken and not skip_broken and not part:
        raise EvaganError(
            f"{len(summary.broken)} of {len(summary.rows)} utterances are broken, see {summary.report}: "
            "mend them, or go on without them with --skip-broken"
        )
