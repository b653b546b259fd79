"""``evagan validate``: everything that is wrong with a Kaldi data directory."""

from pathlib import Path
from typing import Annotated

import typer


def validate(
    data_dir: Annotated[Path, typer.Argument(help="Kaldi data directory.")],
    no_audio: Annotated[
        bool, typer.Option("--no-audio", "--no_audio", help="Look at the tables alone: open no audio, no features.")
    ] = False,
    nj: Annotated[int, typer.Option(min=1, help="Number of files opened at a time.")] = 1,
) -> None:
    """Check a data directory as Kaldi's validate_data_dir.sh does, and that its audio can be opened.

    Tables must be sorted, without duplicates and about the same utterances, spk2utt must agree with utt2spk, segments
    lie in their recordings. All problems are printed, one a line with file and line number, and the status is 1; where
    there are none, one line of counts. A transcript of every utterance is not needed. Pipes are not run.
    """
    from evagan_plugin.data.validation import validate_data_dir

    found = validate_data_dir(data_dir, not no_audio, nj)
    for problem in found.problems:
        typer.echo(problem)
    if found.problems:
        raise typer.Exit(1)
    typer.echo(found.counts)
