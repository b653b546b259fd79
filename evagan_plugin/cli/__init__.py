"""The ``evagan`` command: one file per subcommand, no logic here.

A subcommand's module imports only light modules at its top; what is heavy is imported in its function.
"""

import sys

import typer

from evagan_plugin.cli import listen
from evagan_plugin.cli.compare import compare
from evagan_plugin.cli.convert import convert
from evagan_plugin.cli.curate import curate
from evagan_plugin.cli.doctor import doctor
from evagan_plugin.cli.export import export
from evagan_plugin.cli.format import format_
from evagan_plugin.cli.info import info
from evagan_plugin.cli.pack import pack
from evagan_plugin.cli.plot import plot
from evagan_plugin.cli.score import score
from evagan_plugin.cli.shard import shard
from evagan_plugin.cli.synth import SynthCommand, synth
from evagan_plugin.cli.validate import validate
from evagan_plugin.errors import UsageError, one_line_errors

BadUsage = typer.BadParameter.__base__
"""Click's ``UsageError``: Typer carries a Click of its own and exports only what is derived from it."""

INTERRUPTED = 130
"""What Typer returns after an interrupt, without a word."""

app = typer.Typer(
    name="evagan",
    help="EVA-GAN vocoder: synthesis, scores, pictures, checks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.command()(info)
app.command()(doctor)
app.command()(curate)
app.command()(validate)
app.command("format")(format_)
app.command()(shard)
app.command(cls=SynthCommand)(synth)
app.command()(convert)
app.command()(export)
app.command()(pack)
app.command()(score)
app.command()(compare)
app.command()(plot)
app.add_typer(listen.app, name="listen")


def main() -> None:
    """Entry point of the ``evagan`` script."""
    with one_line_errors("evagan"):
        try:
            status = app(standalone_mode=False)
        except BadUsage as error:
            if not error.format_message():  # no command was given, and the help has been shown
                raise UsageError("a command is needed") from None
            program = error.ctx.command_path if error.ctx else "evagan"
            raise UsageError(f"{error.format_message()} (see {program} --help)") from None
        except typer.Abort:
            raise KeyboardInterrupt from None
        if status == INTERRUPTED:
            raise KeyboardInterrupt
    sys.exit(status if isinstance(status, int) else 0)
