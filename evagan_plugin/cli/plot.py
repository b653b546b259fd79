"""``evagan plot``: reference and systems as mel spectrograms side by side."""

from pathlib import Path
from typing import Annotated

import typer

from evagan_plugin.cli.options import AllowPipes, Reference, Systems


def plot(
    reference: Reference,
    systems: Systems,
    out: Annotated[Path, typer.Option(help="Picture to write (.png, .pdf, .svg).")],
    utterance: Annotated[
        list[str] | None, typer.Option("--utterance", "-u", help="Utterance to draw; may be given again.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Utterances to draw at most, evenly chosen.")] = 4,
    allow_pipes: AllowPipes = False,
) -> None:
    """Draw reference and systems as mel spectrograms, one row per utterance, full band, one colour scale."""
    from evagan_plugin.data.systems import check_sources, parse_systems

    named = parse_systems(systems)
    check_sources(reference, *named.values())  # before torch is imported, which takes seconds

    from evagan_plugin.evaluation.spectrograms import plot_systems

    plot_systems(reference, named, out, utterance, rows, allow_pipes)
    typer.echo(out)
