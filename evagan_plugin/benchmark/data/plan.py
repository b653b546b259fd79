"""What many hours of audio would take, computed from what a few of them took."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evagan_plugin.data.shards.shard import SAMPLE_BYTES

CORES = (64, 256, 1024)
AHEAD = 4
"""How many times what training consumes loading is to reach."""


@dataclass(frozen=True)
class Measured:
    """What a step took."""

    name: str
    core_seconds: float
    """Processor seconds for an hour of audio, one process working."""
    clock_growth: float
    """How much more audio two processes do in a second, by the clock, than one."""
    work_growth: float
    """The same by processor seconds: 2, unless they slow each other down."""
    peak: float
    """Memory of a process (bytes) at most."""
    bytes_per_hour: float = 0.0
    """Of what it writes."""

    @property
    def speed(self) -> float:
        """Hours of audio that a core does in an hour."""
        return 3600 / self.core_seconds


def measured_table(steps: Sequence[Measured]) -> Iterator[str]:
    """Yield what was measured, line by line."""
    yield (
        f"{'step':12}{'core-s per h':>13}{'h per core-h':>13}{'1 to 2, clock':>15}{'1 to 2, CPU':>13}"
        f"{'MB per h':>10}{'peak MiB':>10}"
    )
    for step in steps:
        size = f"{step.bytes_per_hour / 1e6:.1f}" if step.bytes_per_hour else ""
        yield (
            f"{step.name:12}{step.core_seconds:>13.2f}{step.speed:>13,.0f}{step.clock_growth:>15.2f}"
            f"{step.work_growth:>13.2f}{size:>10}{step.peak / 2**20:>10,.0f}"
        )


@dataclass(frozen=True)
class Route:
    """Steps that lead to a corpus to train on; the last one writes it."""

    steps: Sequence[Measured]
    files: int

    def core_hours(self, hours: float) -> float:
        """Return the core-hours that so many hours of audio take."""
        return hours * sum(step.core_seconds for step in self.steps) / 3600

    def line(self, hours: float) -> str:
        """Return a line of the plan's table."""
        core_hours = self.core_hours(hours)
        days = "".join(f"{core_hours / cores / 24:>{_width(cores)}.2f}" for cores in CORES)
        size = hours * self.steps[-1].bytes_per_hour / 1e12
        peak = max(step.peak for step in self.steps) / 2**20
        name = ", ".join(step.name for step in self.steps)
        return f"{name:18}{core_hours:>9,.0f}{days}{size:>8.2f}{self.files:>13,}{peak:>13,.0f}"


def plan_table(hours: float, routes: Sequence[Route]) -> Iterator[str]:
    """Yield what so many hours of audio take by each route, line by line."""
    days = "".join(f"{_days(cores):>{_width(cores)}}" for cores in CORES)
    yield f"{f'{hours:,.0f} h':18}{'core-h':>9}{days}{'TB':>8}{'files':>13}{'process MiB':>13}"
    yield from (route.line(hours) for route in routes)


def _days(cores: int) -> str:
    return f"days on {cores:,}"


def _width(cores: int) -> int:
    return len(_days(cores)) + 2


def loose_files(hours: float, item_seconds: float) -> int:
    """Return how many files ``evagan format`` makes of items of a mean length."""
    return math.ceil(hours * 3600 / item_seconds)


def shard_files(hours: float, sample_rate: int, megabytes: float) -> int:
    """Return how many files ``evagan shard`` makes: a tar and its record for each so many MB, and two tables."""
    return 2 * math.ceil(hours * 3600 * sample_rate * SAMPLE_BYTES / (megabytes * 1e6)) + 2


def consumed(gflops: float, tflops: float, utilisation: float) -> float:
    """Return the seconds of audio that a GPU trains on in a second, at most.

    Args:
        gflops: What is computed for a second of audio (1e9).
        tflops: What the GPU computes in a second (1e12).
        utilisation: Part of that which is reached.
    """
    return tflops * 1e3 * utilisation / gflops


def loading_cores(load: Measured, need: float) -> float:
    """Return the cores that load :data:`AHEAD` times so many seconds of audio a second."""
    return AHEAD * need / load.speed
