"""Inference side by side: our presets, and what users could pick instead, on each engine and number of threads."""

import json
import multiprocessing
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from evagan_plugin.benchmark.rivals import HIFIGAN, RIVALS, Rival
from evagan_plugin.config import load_preset
from evagan_plugin.errors import EvaganError, UsageError, nearest
from evagan_plugin.evaluation.speed import audio_seconds, gflops_per_second, measure, prepare
from evagan_plugin.inference.engine import ENGINES
from evagan_plugin.inference.export import onnx_model
from evagan_plugin.inference.onnx_engine import OnnxGenerator
from evagan_plugin.inference.vocoder import Vocoder
from evagan_plugin.model.generator import EVAGANGenerator
from evagan_plugin.utils.device import checked_device, describe_device, forget_peak, peak_rss
from evagan_plugin.utils.figures import new_figure, save_figure
from evagan_plugin.utils.files import write_text
from evagan_plugin.utils.markdown import markdown_table
from evagan_plugin.utils.progress import track

PRESETS = ("eva_gan_tiny_16k", "eva_gan_tiny_16k_causal", "eva_gan_tiny_22k", "eva_gan_base_24k", "eva_gan_base_44k")
MIB = 2**20
Key = tuple[str, str, int]
"""Generator, engine, threads."""
HEAD = (
    "generator",
    "Hz",
    "parameters (M)",
    "GFLOPs/s of audio",
    "engine",
    "threads",
    "s/s of audio",
    "of HiFi-GAN's time",
    "first audio after (s)",
    "peak memory, 1 thread (MiB)",
)


@dataclass(frozen=True)
class Measured:
    """One generator on one engine and number of threads."""

    generator: str
    sample_rate: int
    """Hz."""
    parameters: int
    gflops: float
    """Per second of audio."""
    engine: str
    threads: int
    factor: float
    """Seconds per second of audio; median."""
    ratio: float
    """Of ESPnet's HiFi-GAN v1 with PyTorch and as many threads: median of the rounds' ratios."""
    first_audio: float | None
    """Seconds of mel frames that the first sample of a stream waits for; None for what cannot stream."""
    peak: int | None
    """Growth of a process's peak memory (bytes) over the synthesis with one thread; None where it was not measured."""


def inference(
    preset: Annotated[list[str] | None, typer.Option(help="Presets to measure; repeatable.")] = None,
    rival: Annotated[list[str] | None, typer.Option(help="Others to measure, beside ESPnet's HiFi-GAN; all.")] = None,
    engine: Annotated[list[str] | None, typer.Option(help="Of our presets: torch, onnxruntime; both.")] = None,
    threads: Annotated[list[int] | None, typer.Option(help="Threads on the CPU; repeatable.")] = None,
    seconds: Annotated[float, typer.Option(help="Length of the synthesised audio (seconds).")] = 2.0,
    rounds: Annotated[int, typer.Option(help="Timed syntheses of each, interleaved, after one that is not.")] = 5,
    memory: Annotated[bool, typer.Option(help="Measure peak memory, each in its own process, 1 thread.")] = True,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cuda" if torch.cuda.is_available() else "cpu",
    out: Annotated[Path | None, typer.Option(help="Directory for inference.md, .json and .png.")] = None,
) -> None:
    """Print what a second of audio costs: ESPnet's and Coqui's HiFi-GAN, Vocos, BigVGAN and our presets."""
    if seconds <= 0 or rounds < 1 or min(threads or [1]) < 1:
        raise UsageError("--seconds, --rounds and --threads must be positive")
    if device != "cpu" and "onnxruntime" in (engine or ()):
        raise UsageError(f"--engine onnxruntime runs on the CPU: --device cpu, or --engine torch for --device {device}")
    checked_device(device)
    names = [*dict.fromkeys([HIFIGAN, *(rival or RIVALS)]), *(preset or PRESETS)]
    for name in names:
        if name not in RIVALS and name in (rival or ()):
            raise UsageError(f"unknown rival '{name}': {nearest(name, RIVALS)}")
    engines = engine or (ENGINES if device == "cpu" else ENGINES[:1])
    for name in engines:
        if name not in ENGINES:
            raise UsageError(f"unknown engine '{name}': {nearest(name, ENGINES)}")
    found = _measure_all(names, engines, threads or [1, 2], seconds, rounds, memory, device)
    table = markdown_table(HEAD, (_cells(row) for row in found))
    text = (
        f"{seconds:g} s of audio, {rounds} interleaved rounds on {describe_device(device).split(',')[0]}, "
        f"torch {torch.__version__}; random weights.\n\n{table}\n"
    )
    typer.echo(text, nl=False)
    if out:
        write_text(out / "inference.md", text)
        write_text(out / "inference.json", json.dumps([asdict(row) for row in found], indent=1) + "\n")
        draw(found, out / "inference.png")
        typer.echo(out, err=True)


def build(name: str) -> Rival:
    """Return mel and generator of a rival or a preset, random weights, weight norm folded in.

    Raises:
        UsageError: If there is no such preset.
        EvaganError: If the rival's package is not installed.
    """
    torch.manual_seed(0)
    if name in RIVALS:
        mel, generator = RIVALS[name]()
        return mel, generator.eval()
    config = load_preset(name)
    return config.mel, EVAGANGenerator.from_config(config).remove_weight_norm().eval()


def _measure_all(
    names: list[str], engines: list[str], threads: list[int], seconds: float, rounds: int, memory: bool, device: str
) -> list[Measured]:
    built: dict[str, Rival] = {}
    for name in names:
        try:
            built[name] = build(name)
        except UsageError:
            raise
        except EvaganError as error:
            if name == HIFIGAN:
                raise
            typer.echo(f"{name}: left out: {error}", err=True)
    calls: dict[Key, Callable[[], Tensor]] = {}
    for name, (mel, generator) in built.items():
        for kind in engines if isinstance(generator, EVAGANGenerator) else ENGINES[:1]:
            model = onnx_model(generator) if kind == "onnxruntime" else None
            for count in threads:
                chosen = generator.to(device) if model is None else OnnxGenerator(model, count)
                calls[name, kind, count] = _with_threads(prepare(chosen, mel, seconds, device), count)
    for count in threads:
        if (HIFIGAN, ENGINES[0], count) not in calls:  # with `--engine onnxruntime` alone, too
            mel, generator = built[HIFIGAN]
            calls[HIFIGAN, ENGINES[0], count] = _with_threads(prepare(generator, mel, seconds, device), count)
    times = measure(calls, rounds)
    peaks = _peaks([key[:2] for key in calls if key[2] == threads[0]], seconds) if memory and device == "cpu" else {}
    base = audio_seconds(built[HIFIGAN][0], seconds)
    theirs = {count: [taken / base for taken in times[HIFIGAN, ENGINES[0], count]] for count in threads}
    return [_measured(key, built[key[0]], times[key], seconds, theirs[key[2]], peaks.get(key[:2])) for key in calls]


def _measured(
    key: Key, rival: Rival, times: list[float], seconds: float, theirs: list[float], peak: int | None
) -> Measured:
    name, engine, threads = key
    mel, generator = rival
    factors = [taken / audio_seconds(mel, seconds) for taken in times]
    ours = isinstance(generator, EVAGANGenerator)
    return Measured(
        generator=name,
        sample_rate=mel.sample_rate,
        parameters=sum(tensor.numel() for tensor in generator.parameters()),
        gflops=gflops_per_second(generator, mel),
        engine=engine,
        threads=threads,
        factor=statistics.median(factors),
        ratio=statistics.median(one / other for one, other in zip(factors, theirs, strict=True)),
        first_audio=Vocoder(mel, generator).latency(1) if ours else None,
        peak=peak,
    )


def _with_threads(call: Callable[[], Tensor], threads: int) -> Callable[[], Tensor]:
    def counted() -> Tensor:
        torch.set_num_threads(threads)
        return call()

    return counted


def _peaks(keys: list[tuple[str, str]], seconds: float) -> dict[tuple[str, str], int]:
    """Return the peak memory of each generator and engine, in processes of their own: one hides another's."""
    found = {}
    for key in track(keys, "memory"):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found[key] = pool.apply(measure_peak, (*key, seconds))
    return found


def measure_peak(name: str, engine: str, seconds: float) -> int:
    """Return the growth of this process's peak memory (bytes) by one synthesis; right only in a fresh process."""
    torch.set_num_threads(1)
    mel, generator = build(name)
    chosen: nn.Module = OnnxGenerator(onnx_model(generator), 1) if engine == "onnxruntime" else generator
    forget_peak("cpu")  # what building took beside the weights
    before = peak_rss()
    prepare(chosen, mel, seconds, "cpu")()
    return peak_rss() - before


def draw(found: list[Measured], path: Path) -> None:
    """Draw what a second of audio costs, a line for each generator, the smallest below, and a mark for each engine."""
    fewest = min(row.threads for row in found)
    rows = sorted((row for row in found if row.threads == fewest), key=lambda row: (row.parameters, row.generator))
    lines = list(dict.fromkeys((row.generator, row.parameters) for row in rows))
    figure = new_figure(7, 1.2 + 0.3 * len(lines))
    axes = figure.subplots()
    for engine, marker in zip(ENGINES, "os", strict=True):
        own = [row for row in rows if row.engine == engine]
        places = [lines.index((row.generator, row.parameters)) for row in own]
        axes.scatter([row.factor for row in own], places, marker=marker, label=engine, zorder=2)
    axes.set_yticks(range(len(lines)), [f"{name}, {parameters / 1e6:.1f} M" for name, parameters in lines])
    axes.set(xscale="log", xlabel=f"seconds per second of audio, {fewest} thread{'s' * (fewest != 1)}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    save_figure(figure, path)


def _cells(row: Measured) -> tuple[str, ...]:
    return (
        row.generator,
        str(row.sample_rate),
        f"{row.parameters / 1e6:.2f}",
        f"{row.gflops:.3g}",
        row.engine,
        str(row.threads),
        f"{row.factor:.3g}",
        f"{row.ratio:.3f}",
        "the whole" if row.first_audio is None else f"{row.first_audio:.3f}",
        "" if row.peak is None else f"{row.peak / MIB:.0f}",
    )
