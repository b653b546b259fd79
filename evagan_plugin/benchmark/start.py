"""What the hook for the hosts costs at the start of every interpreter."""

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from evagan_plugin import autoload

LINE = Path(autoload.__file__).with_name("evagan_plugin.pth").read_text(encoding="utf-8")
CODE = f"import site, time; start = time.perf_counter(); exec({LINE!r}); print(time.perf_counter() - start)"


def start(rounds: Annotated[int, typer.Option(min=1, help="Interpreters to start.")] = 30) -> None:
    """Time ``evagan_plugin.pth`` in fresh interpreters."""
    environment = {**os.environ, "PYTHONPATH": str(Path(autoload.__file__).parents[1])}
    # Without site, which would have run the line before the clock starts.
    command = [sys.executable, "-S", "-c", CODE]
    costs = [
        1000 * float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
        for _ in range(rounds)
    ]
    typer.echo(
        f"evagan_plugin.pth: median {statistics.median(costs):.2f} ms, least {min(costs):.2f} ms, "
        f"most {max(costs):.2f} ms of {rounds} interpreters"
    )
