"""The command: goes through the plan until the time is over, and writes after each measurement."""

import platform
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import torch
import typer

from evagan_plugin.benchmark.gpu.measures import Place
from evagan_plugin.benchmark.gpu.plan import Section, known, plan
from evagan_plugin.benchmark.gpu.report import write
from evagan_plugin.benchmark.gpu.worker import Worker
from evagan_plugin.benchmark.rivals import RIVALS
from evagan_plugin.config import OptimizationConfig
from evagan_plugin.errors import EvaganError, UsageError, nearest
from evagan_plugin.utils.device import checked_device, describe_device
from evagan_plugin.utils.progress import track

PRESETS = ("eva_gan_base_44k", "eva_gan_big_44k")
FOREIGN = ("Vocos 24 kHz", "BigVGAN-v2 24 kHz")
FRAMES = (32, 64, 256)
NOTE = "note"
"""Column that says why there are no figures."""
NO_TIME = {NOTE: "no time was left"}
LEAST = 0.1
"""Part of all the time that a measurement has before it is stopped."""


def gpu(
    out: Annotated[Path, typer.Option(help="Directory for gpu.md and gpu.json, rewritten after each measurement.")],
    minutes: Annotated[float, typer.Option(help="Of the clock, at most.")] = 9.0,
    preset: Annotated[list[str] | None, typer.Option(help="Presets; repeatable; base and big at 44.1 kHz.")] = None,
    rival: Annotated[list[str] | None, typer.Option(help="Others in synthesis, beside HiFi-GAN; repeatable.")] = None,
    frames: Annotated[list[int] | None, typer.Option(help="Mel frames of an item; repeatable; 32, 64, 256.")] = None,
    batch: Annotated[int, typer.Option(help="Items of a training batch; 0: 16 with CUDA, 1 without.")] = 0,
    seconds: Annotated[float, typer.Option(help="Length of synthesised audio.")] = 5.0,
    each: Annotated[float, typer.Option(help="Seconds for a measurement, once it is warm.")] = 3.0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cuda" if torch.cuda.is_available() else "cpu",
) -> None:
    """Learn in one call what a GPU makes of training and synthesis; what is most telling comes first.

    Each section ends when its part of the time is over, and says what it left out. Where the call is cut off, the files
    hold what was measured until then.
    """
    if minutes <= 0 or seconds <= 0 or each <= 0 or min(frames or [1]) < 1 or batch < 0:
        raise UsageError("--minutes, --seconds, --each and --frames must be positive, --batch too or 0")
    checked_device(device)
    presets, rivals = list(dict.fromkeys(preset or PRESETS)), rival or list(FOREIGN)
    known(presets)
    for name in rivals:
        if name not in RIVALS:
            raise UsageError(f"unknown rival '{name}': {nearest(name, RIVALS)}")
    batch = batch or (OptimizationConfig().batch_size if device.startswith("cuda") else 1)
    place = Place(device, batch, each)
    lengths = sorted(set(frames or FRAMES))
    sections = plan(place, presets, rivals, lengths, seconds)
    clock = "the clock" if device.startswith("cuda") else "the process's CPU time"
    facts = {
        "device": describe_device(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "minutes": minutes,
        "presets": presets,
        "batch": batch,
        "frames": lengths,
    }
    head = (
        f"# Training and synthesis on {facts['device']}\n\ntorch {torch.__version__}, CUDA {torch.version.cuda}; "
        f"times are medians, by {clock}; random weights.\n"
    )
    text = write(out, head, facts, sections)
    for _ in measured(sections, 60 * minutes):
        text = write(out, head, facts, sections)
    typer.echo(text, nl=False)
    typer.echo(out, err=True)


def measured(sections: list[Section], seconds: float) -> Iterator[None]:
    """Fill the rows of the sections within so many seconds; yields after each row.

    No measurement begins after its section's end, but for the first one; one that has begun has :data:`LEAST` of the
    time in any case.
    """
    last = time.monotonic() + seconds
    worker = Worker(last)
    try:
        with suppress(EvaganError):  # the first measurement says so, too
            worker.start()
        whole = last - time.monotonic()
        for number, section in enumerate(sections, 1):
            end = last - whole * sum(one.share for one in sections[number:])
            for case in track(section.cases, section.name):
                now = time.monotonic()
                begins = now < (end if section.rows else last)
                try:
                    row = worker(case.function, case.arguments, max(end - now, LEAST * whole)) if begins else NO_TIME
                except EvaganError as error:
                    row = {NOTE: str(error)}
                section.rows.append(case.labels | row)
                yield
    finally:
        worker.stop()
