"""The command: recordings to measure on, and the tables of what was measured and what is computed from it."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from torch.utils.flop_counter import FlopCounterMode

from evagan_plugin.audio.io import save_audio
from evagan_plugin.benchmark.data.measures import CONFIG, PRESET, RATE, measure_all
from evagan_plugin.benchmark.data.plan import (
    AHEAD,
    Route,
    consumed,
    loading_cores,
    loose_files,
    measured_table,
    plan_table,
    shard_files,
)
from evagan_plugin.benchmark.degraded import music_like
from evagan_plugin.benchmark.training import TrainedSystem, training_config
from evagan_plugin.data.corpus import stable_hash
from evagan_plugin.data.curation.curate import optional_measures
from evagan_plugin.data.shards.tar import SHARD_MEGABYTES
from evagan_plugin.data.utterances import find_utterances
from evagan_plugin.errors import UsageError
from evagan_plugin.evaluation.speed import gflops_per_second
from evagan_plugin.utils.progress import say, track

BACKWARD = 2
"""Operations of a backward pass, in those of the forward pass."""
COUNTED_FRAMES = 32


def data(
    audio: Annotated[Path | None, typer.Option(help="Folder of recordings, taken whole, instead of noise.")] = None,
    items: Annotated[int, typer.Option(min=4, help="Recordings (drawn by their names).")] = 12,
    seconds: Annotated[float, typer.Option(min=4.0, help="Length of each that is made of noise.")] = 60.0,
    hours: Annotated[float, typer.Option(min=1.0, help="Hours to plan for.")] = 36_000,
    item_seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Mean length of a curated item; default: what it was here.")
    ] = None,
    tflops: Annotated[float, typer.Option(min=1.0, help="Of a GPU; default: an H100's with TF32.")] = 495.0,
    utilisation: Annotated[float, typer.Option(min=0.01, max=1.0, help="Part of it that is reached, assumed.")] = 0.4,
) -> None:
    """Measure what an hour of audio takes to curate, format, shard and load, and plan for many hours."""
    with tempfile.TemporaryDirectory() as folder:
        recordings = _found(audio, items) if audio else _made(Path(folder) / "audio", items, seconds)
        result = measure_all(Path(folder), recordings)
    mean = result.seconds / result.items
    typer.echo(
        f"{len(recordings)} recordings of {result.seconds / 3600:.2f} h, cut into {result.items} items of {mean:.1f} s "
        f"on average; loading: {CONFIG.training.segment_frames} frames at {RATE} Hz"
    )
    for line in (*measured_table(result.steps), *optional_measures()[1]):
        typer.echo(line)
    typer.echo("\nComputed from this, if reading and writing keep up; nothing is measured at this size:")
    routes = [
        Route([result.curated, result.formatted], loose_files(hours, item_seconds or mean)),
        Route([result.curated, result.sharded], shard_files(hours, RATE, SHARD_MEGABYTES)),
    ]
    for line in plan_table(hours, routes):
        typer.echo(line)
    say("count what a training step computes")
    gflops = training_gflops()
    need = consumed(gflops, tflops, utilisation)
    typer.echo(
        f"\nTraining {PRESET} consumes at most {need:,.0f} s of audio a second on a GPU. This is an estimate: "
        f"{utilisation:.0%} of {tflops:g} TFLOP/s, {gflops:,.0f} GFLOP for a second of audio."
    )
    for load in result.loads:
        cores = loading_cores(load, need)
        typer.echo(f"{load.name}: a core loads {load.speed:,.0f} s a second; {AHEAD} times the need: {cores:.1f} cores")


def training_gflops() -> float:
    """Return what a training step computes for a second of audio (1e9 operations), at least.

    Counted: the discriminators' step whole, and the generator's two passes in its own. Not counted: the way of the
    generator's losses through the discriminators.
    """
    system = TrainedSystem(training_config(PRESET, COUNTED_FRAMES), None, None, 1, "cpu")
    with FlopCounterMode(display=False) as counter:
        system.step(system.gan.discriminator_step)
    step = counter.get_total_flops() / 1e9 / (COUNTED_FRAMES * CONFIG.mel.hop_length / RATE)
    return step + (1 + BACKWARD) * gflops_per_second(system.gan.generator, CONFIG.mel)


def _made(folder: Path, items: int, seconds: float) -> dict[str, str]:
    """Write noise with tones as FLAC; return the files by names."""
    folder.mkdir()
    paths = {f"{number:06}": str(folder / f"{number:06}.flac") for number in range(items)}
    for number, path in enumerate(track(paths.values(), "make recordings", items)):
        save_audio(path, music_like(seconds, RATE, number), RATE)
    return paths


def _found(folder: Path, items: int) -> dict[str, str]:
    """Return recordings of a folder, by names of their own."""
    found = sorted(find_utterances(folder), key=lambda one: stable_hash(one.utt_id))
    if len(found) < items:
        raise UsageError(f"{folder}: {len(found)} recordings in it, {items} are needed: give fewer --items (4 or more)")
    return {f"{number:06}": str(Path(one.source).resolve()) for number, one in enumerate(found[:items])}
