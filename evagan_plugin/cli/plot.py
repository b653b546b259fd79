"""``evagan plot``: reference and systems as mel spectrograms side by side."""

from pathlib import Path
from typing import Annotated

import typer


def plot(
    reference: Annotated[Path, typer.Argument(metavar="REF", help="Directory of audio, or wav.scp.")],
    systems: Annotated[list[str], typer.Argument(metavar="HYP...", help="The same of each system: PATH or NAME=PATH.")],
    out: Annotated[Path, typer.Option(help="Picture to write (.png, .pdf, .svg).")],
    utterance: Annotated[
        list[str] | None, typer.Option("--utterance", "-u", help="Utterance to draw; may be given again.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Draw so many utterances at most, evenly chosen.")] = 4,
) -> None:
    """Draw reference and systems as mel spectrograms, one row an utterance, full band, one colour scale."""
    from evagan_plugin.metrics.sources import parse_systems
    from evagan_plugin.plotting import plot_systems

    plot_systems(reference, parse_systems(systems), out, utterance, rows)
    typer.echo(out)
