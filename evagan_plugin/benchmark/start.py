"""What starting costs: the hook for the hosts in every interpreter, and commands beside ``import torch``."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from evagan_plugin import autoload
from evagan_plugin.errors import EvaganError, UsageError, nearest
from evagan_plugin.utils.markdown import markdown_table
from evagan_plugin.utils.progress import track

LINE = Path(autoload.__file__).with_name("evagan_plugin.pth").read_text(encoding="utf-8")
CODE = f"import site, time; start = time.perf_counter(); exec({LINE!r}); print(time.perf_counter() - start)"
EVAGAN = ("-c", "from evagan_plugin.cli import main; main()")


@dataclass(frozen=True)
class Command:
    """A program of Python that is started and waited for."""

    shown: str
    arguments: tuple[str, ...]
    statuses: tuple[int, ...] = (0,)
    """What it may end with."""
    wanted: float | None = None
    """Upper bound of its time over that of the first command."""


COMMANDS = {
    "torch": Command('python -c "import torch"', ("-c", "import torch")),
    "info": Command("evagan info", (*EVAGAN, "info"), wanted=1.5),
    "synth": Command("evagan synth WRONG_PATH ...", (*EVAGAN, "synth", "no_model", "no_audio", "out"), (2,), 0.5),
    # A host that is broken here ends it with 1.
    "doctor": Command("evagan doctor", (*EVAGAN, "doctor"), (0, 1), 6.0),
}
"""By name; the first is what the others are compared with."""


def start(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[info|synth|doctor]...", help="Commands to time; all by default.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Interpreters to start for the hook.")] = 30,
    repeats: Annotated[int, typer.Option(min=1, help="Starts of each command, in turn, after one not counted.")] = 3,
) -> None:
    """Time `evagan_plugin.pth` in fresh interpreters, and how long commands take beside `import torch`."""
    unknown = next((name for name in names or () if name not in COMMANDS), None)
    if unknown:
        raise UsageError(f"unknown command '{unknown}': {nearest(unknown, COMMANDS)}")
    costs = [1000 * cost for cost in hook_seconds(rounds)]
    typer.echo(
        f"evagan_plugin.pth: median {statistics.median(costs):.2f} ms, least {min(costs):.2f} ms, "
        f"most {max(costs):.2f} ms of {rounds} interpreters\n"
    )
    base, *others = COMMANDS
    times = start_seconds({name: COMMANDS[name] for name in (base, *(names or others))}, repeats)
    rows = []
    for name, taken in times.items():
        ratio = statistics.median(one / of_torch for one, of_torch in zip(taken, times[base], strict=True))
        wanted = COMMANDS[name].wanted
        bound = "" if wanted is None else f"at most {wanted:g}"
        rows.append([f"`{COMMANDS[name].shown}`", f"{statistics.median(taken):.2f}", f"{ratio:.2f}", bound])
    typer.echo(markdown_table(["command", f"seconds, median of {repeats}", "ratio", "wanted"], rows))


def hook_seconds(rounds: int) -> list[float]:
    """Return what the line for the hosts takes in each of so many fresh interpreters."""
    # Without site, which would have run the line before the clock starts.
    command = [sys.executable, "-S", "-c", CODE]
    return [
        float(subprocess.run(command, env=_environment(), capture_output=True, text=True, check=True).stdout)
        for _ in range(rounds)
    ]


def start_seconds(commands: dict[str, Command], repeats: int) -> dict[str, list[float]]:
    """Return the seconds from start to end of each command, one after the other in turn, after one round to warm up.

    Raises:
        EvaganError: If a command ends otherwise than it should.
    """
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        for _ in track(range(repeats + 1), "start"):
            for name, command in commands.items():
                begin = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, *command.arguments],
                    cwd=folder,
                    env=_environment(),
                    capture_output=True,
                    text=True,
                )
                times[name].append(time.perf_counter() - begin)
                if done.returncode not in command.statuses:
                    last = (done.stderr.strip() or "no word").splitlines()[-1]
                    raise EvaganError(f"{command.shown} ended with status {done.returncode}: {last}")
    return {name: taken[1:] for name, taken in times.items()}


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(autoload.__file__).parents[1])}
