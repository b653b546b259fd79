"""``evagan shard``: a data directory as tar shards."""

from pathlib import Path
from typing import Annotated

import typer

from evagan_plugin.cli.options import PartOfWork, Processes
from evagan_plugin.data.shards.tar import SHARD_MEGABYTES


def shard(
    data_dir: Annotated[Path, typer.Argument(help="Kaldi data directory with wav.scp, such as kept/ of a curation.")],
    out_dir: Annotated[Path, typer.Argument(help="Where 000000.tar, ... and index.tsv are written.")],
    sample_rate: Annotated[int, typer.Option(min=1, help="Wanted sample rate in Hz.")],
    shard_size: Annotated[
        float, typer.Option(min=1e-3, help="MB of 16-bit audio in a shard; FLAC halves it.")
    ] = SHARD_MEGABYTES,
    rules: Annotated[Path | None, typer.Option(help="Rules of evagan curate (YAML): max_unreadable is taken.")] = None,
    nj: Processes = 1,
    part: PartOfWork = None,
) -> None:
    """Write a data directory as tar shards of mono 16-bit FLAC and JSON at one rate, with an index, for training."""
    from evagan_plugin.config.curation import CurationRules
    from evagan_plugin.config.loading import load_section

    chosen = load_section(CurationRules, rules) if rules else CurationRules()

    # Here only, because it takes seconds.
    from evagan_plugin.data.shards.shard import shard_data_dir, shard_part

    if part:
        counts = shard_part(data_dir, out_dir, sample_rate, shard_size, part, nj)
        typer.echo(f"part {part}:", err=True)
    else:
        counts = shard_data_dir(data_dir, out_dir, sample_rate, shard_size, chosen.max_unreadable, nj)
    for line in counts.lines():
        typer.echo(line, err=True)
