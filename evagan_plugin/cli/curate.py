"""``evagan curate``: measure a data directory and sort it by rules."""

from pathlib import Path
from typing import Annotated

import typer

from evagan_plugin.cli.options import PartOfWork, Processes


def curate(
    data_dir: Annotated[Path, typer.Argument(help="Kaldi data directory with wav.scp, with or without segments.")],
    out_dir: Annotated[Path, typer.Argument(help="Where the table, the report and kept/ are written.")],
    rules: Annotated[Path | None, typer.Option(help="What is left out (YAML); see conf/curation.yaml.")] = None,
    nj: Processes = 1,
    part: PartOfWork = None,
    against: Annotated[list[Path] | None, typer.Option(help="OUT_DIR of another source; repeatable.")] = None,
) -> None:
    """Measure every utterance: bandwidth, codec cuts, clipping, speech, loudness, noise, duplicates; keep the good."""
    from evagan_plugin.config.curation import CurationRules
    from evagan_plugin.config.loading import load_section

    chosen = load_section(CurationRules, rules) if rules else CurationRules()

    # Here only, because it takes seconds.
    from evagan_plugin.data.curation.curate import curate, curate_part
    from evagan_plugin.evaluation.report.curation import check_report, write_report

    check_report()
    if part:
        counts = curate_part(data_dir, out_dir, chosen, part, nj)
        typer.echo(f"part {part}: {counts.readable} items measured, {counts.unreadable} unreadable", err=True)
        return
    result = curate(data_dir, out_dir, chosen, nj, against or ())
    for line in result.lines():
        typer.echo(line, err=True)
    typer.echo(f"  report: {write_report(result)}", err=True)
