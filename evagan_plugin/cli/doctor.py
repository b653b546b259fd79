"""``evagan doctor``: what is installed, what is registered where, and what is wrong."""

from typing import Annotated

import typer


def doctor(
    hosts: Annotated[
        bool, typer.Option(help="Start the installed hosts and list what they have registered (up to a minute).")
    ] = True,
) -> None:
    """Examine this environment; exit status 1 if something is wrong."""
    from evagan_plugin.doctor import examine

    problems = 0
    for finding in examine(hosts):
        typer.echo(f"{'WRONG' if finding.wrong else 'ok':6}{finding.subject}: {finding.text}")
        problems += finding.wrong
    typer.echo(f"{problems} problem(s)")
    raise typer.Exit(1 if problems else 0)
