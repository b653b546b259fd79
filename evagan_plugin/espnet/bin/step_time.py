"""What a training step of several configs costs, and how many steps of each take as long as the first's training.

::

    python -m evagan_plugin.espnet.bin.step_time conf/train_eva_gan_tiny_16k.yaml conf/train_hifigan_16k.yaml
"""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from evagan_plugin.errors import ConfigError, nearest, one_line_errors

PROGRAM = "step_time"


class Schedule(NamedTuple):
    """Steps of a training, and the CPU seconds of one."""

    start: int
    """Steps before the discriminators start."""
    steps: int
    """All steps."""
    epochs: int
    without: float
    """CPU seconds of a step before the discriminators start."""
    with_: float
    """CPU seconds of one after it."""

    @property
    def seconds(self) -> float:
        """CPU seconds of all steps."""
        return self.start * self.without + (self.steps - self.start) * self.with_

    def as_long_as(self, other: "Schedule") -> str:
        """Return the options for a training of the same shape that takes as long as another."""
        iterations = max(round(self.steps / self.epochs * other.seconds / self.seconds), 1)
        start = round(self.start / self.steps * iterations * self.epochs)
        return f"--num_iters_per_epoch {iterations} --vocoder_conf training.discriminator_start_steps={start}"


def step_time(
    configs: Annotated[list[Path], typer.Argument(metavar="CONFIG...", help="Training configs of the vocoder task.")],
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds, after one that is not; the median counts.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Threads.")] = 1,
) -> None:
    """Print CPU seconds per step of each config without and with discriminators, and of the whole training.

    Both steps and both optimizers on a batch of noise, all configs in turn, so that a busy machine is busy for all;
    data, validation and checkpoints are not counted. The last column has the options with which a config trains for as
    long as the first.
    """
    import torch

    from evagan_plugin.utils.progress import track

    torch.set_num_threads(threads)
    systems = {path: _systems(path) for path in configs}
    taken: dict[tuple[Path, int], list[float]] = {}
    for number in track(range(rounds + 1), "step_time"):
        for path, (_, pair) in systems.items():
            for phase, system in enumerate(pair):
                seconds = system() if system else 0.0
                if number:
                    taken.setdefault((path, phase), []).append(seconds)
    schedules = {}
    for path, (schedule, _) in systems.items():
        without, with_ = (statistics.median(taken[path, phase]) for phase in (0, 1))
        schedules[path] = schedule._replace(without=without, with_=with_)
    first = schedules[configs[0]]
    typer.echo(f"{'config':44}{'without':>9}{'with':>9}{'steps':>15}{'CPU min':>9}  as long as the first")
    for path, one in schedules.items():
        steps = f"{one.start} + {one.steps - one.start}"
        figures = f"{one.without:>9.3f}{one.with_:>9.3f}{steps:>15}{one.seconds / 60:>9.1f}"
        typer.echo(f"{path!s:44}{figures}  {one.as_long_as(first)}")


def _systems(path: Path) -> tuple[Schedule, list[Callable[[], float] | None]]:
    """Return a config's steps, and what takes one without and one with discriminators and returns its CPU seconds."""
    import torch

    from evagan_plugin.benchmark.training import TrainedSystem, seconds_of
    from evagan_plugin.config import build_config, merge_settings, read_settings
    from evagan_plugin.espnet.task.model import GENERATOR_BUILDERS

    settings = read_settings(path)
    if settings.get("vocoder") not in GENERATOR_BUILDERS:
        raise ConfigError(f"{path}: vocoder: {settings.get('vocoder')}: {nearest('', GENERATOR_BUILDERS)}")
    for name in ("batch_size", "num_iters_per_epoch", "max_epoch"):
        if not isinstance(settings.get(name), int) or settings[name] < 1:
            raise ConfigError(f"{path} has no '{name}' of 1 or more: the training config must state it")
    conf = settings.get("vocoder_conf") or {}
    steps = settings["num_iters_per_epoch"] * settings["max_epoch"]

    def system(start: int) -> Callable[[], float]:
        changed = merge_settings(conf, {"training": {"discriminator_start_steps": start}})
        config = build_config(changed)
        built = TrainedSystem(
            config, GENERATOR_BUILDERS[settings["vocoder"]](config), None, settings["batch_size"], "cpu"
        )
        return lambda: seconds_of(built.both, torch.device("cpu"))

    try:
        start = min(build_config(conf).training.discriminator_start_steps, steps)
        pair = [system(2**31) if start else None, system(0) if start < steps else None]
    except ConfigError as error:
        raise error.within(path) from None
    return Schedule(start, steps, settings["max_epoch"], 0.0, 0.0), pair


def main() -> None:
    """Run the command."""
    with one_line_errors(PROGRAM):
        typer.run(step_time)


if __name__ == "__main__":
    main()
