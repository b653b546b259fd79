"""``python -m evagan_plugin.benchmark curate|data|gpu|inference|memory|score|start|training``."""

import typer

from evagan_plugin.benchmark.curate import curate
from evagan_plugin.benchmark.data.command import data
from evagan_plugin.benchmark.gpu.command import gpu
from evagan_plugin.benchmark.inference import inference
from evagan_plugin.benchmark.memory import memory
from evagan_plugin.benchmark.scoring import score
from evagan_plugin.benchmark.start import start
from evagan_plugin.benchmark.training import training
from evagan_plugin.errors import one_line_errors

app = typer.Typer(name="benchmark", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.callback()(lambda: None)
app.command()(curate)
app.command()(data)
app.command()(gpu)
app.command()(inference)
app.command()(memory)
app.command()(score)
app.command()(start)
app.command()(training)

if __name__ == "__main__":
    with one_line_errors("benchmark"):
        app()
