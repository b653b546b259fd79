"""What is measured: each function takes one measurement, in the worker's process, and returns columns by name."""

import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from evagan_plugin.benchmark.inference import build
from evagan_plugin.benchmark.memory import MIB, VARIANTS, usage
from evagan_plugin.benchmark.rivals import Rival, espnet_hifigan
from evagan_plugin.benchmark.training import TrainedSystem, seconds_of, training_config
from evagan_plugin.config import load_preset
from evagan_plugin.evaluation.speed import audio_seconds, measure, prepare
from evagan_plugin.utils.device import forget_peak, peak_memory

Row = dict[str, object]

FLOAT32, TF32, BF16 = PRECISIONS = ("float32", "TF32", "bf16")
WARM_UP = 2
"""Calls before those that count: cuDNN chooses its algorithms in the first."""
FEWEST, MOST = 3, 50
"""Timed calls."""
TOLERANCE = 1e-3
"""Relative difference of losses up to which float32 counts as the same on two devices."""
READ = "aten::_local_scalar_dense"
"""What PyTorch's profiler calls a value that the host reads; on a GPU it waits for it."""
WAITS = (READ, "cudaStreamSynchronize", "cudaEventSynchronize", "cudaMemcpy")
COPIES = ("Memcpy DtoH", "Memcpy HtoD (Pageable")
"""How the profiler's names of copies begin that are waited for."""


@dataclass(frozen=True)
class Place:
    """Where and on what batches is measured."""

    device: str
    batch: int
    """Items."""
    seconds: float
    """Of the clock, about, for one measurement once it is warm."""


def losses(place: Place, preset: str, frames: int, device: str, precision: str) -> Row:
    """Compare all losses and norms of gradients of a first batch with those of a CPU in float64."""
    reference = _compared(preset, frames, bf16=False)
    exact = _values(reference.gan.double(), reference.wav.double())
    system = _compared(preset, frames, precision == BF16)
    use_precision(precision)
    found = _values(system.gan.to(device), system.wav.to(device))
    differences = {name: abs(found[name] - value) / max(abs(value), 1e-12) for name, value in exact.items()}
    worst = max(differences, key=differences.get)
    row: Row = {"largest difference": f"{differences[worst]:.1e}", "of": worst}
    if precision == FLOAT32:
        row["agrees"] = "yes" if differences[worst] <= TOLERANCE else "NO"
    return row | {"exact": exact, "found": found}


def step(
    place: Place, preset: str, frames: int, hifigan: bool, precision: str, channels_last: bool, compiled: bool
) -> Row:
    """Time a batch: both steps and both optimizers, of a preset or of ESPnet's HiFi-GAN in its generator's place."""
    use_precision(precision)
    config = training_config(preset, frames, precision == BF16)
    generator = espnet_hifigan(config.mel) if hifigan else None
    system = TrainedSystem(config, generator, channels_last, place.batch, place.device)
    row: Row = {}
    if compiled:
        for part in (system.gan.generator, *system.gan.discriminators.values()):
            part.compile()
        row["first batch (s)"] = round(seconds_of(system.both, system.wav.device), 1)
    forget_peak(place.device)
    times = timed(system.both, place)
    audio = place.batch * frames * config.mel.hop_length / config.mel.sample_rate
    taken = statistics.median(times)
    return row | {
        "s/batch": taken,
        "s/s of audio": taken / audio,
        "batches": len(times),
        "peak (MiB)": peak_memory(place.device) / MIB,
    }


def memory(place: Place, preset: str, variant: str, frames: int) -> Row:
    """Measure what the generator keeps for its backward pass, and the peak of its step and of a whole batch."""
    use_precision(TF32)
    system = _varied(preset, variant, place)
    system.take(frames)
    saved, peak = usage(system.gan, system.wav)
    forget_peak(place.device)
    system.both()
    whole = peak_memory(place.device)
    return {"saved (MiB)": saved / MIB, "generator step (MiB)": peak / MIB, "whole batch (MiB)": whole / MIB}


def synthesis(place: Place, name: str, items: int, seconds: float) -> Row:
    """Time the synthesis of a batch of items."""
    use_precision(TF32)
    mel, generator = _built(name)
    call = prepare(generator.to(place.device), mel, seconds, place.device, items)
    times = timed(call, place)
    factor = statistics.median(times) / (items * audio_seconds(mel, seconds))
    return {"ms": 1e3 * statistics.median(times), "s/s of audio": factor, "times real time": 1 / factor}


def against(place: Place, preset: str, other: str, seconds: float) -> Row:
    """Time the synthesis of one item by two presets in turn."""
    use_precision(TF32)
    systems = {}
    for name in (preset, other):
        mel, generator = _built(name)
        systems[name] = prepare(generator.to(place.device), mel, seconds, place.device)
    start = time.perf_counter()
    measure(systems, 0)
    rounds = _rounds(time.perf_counter() - start, place.seconds)
    times = measure(systems, rounds)
    ratio = statistics.median(one / two for one, two in zip(times[preset], times[other], strict=True))
    return {
        "ms": 1e3 * statistics.median(times[preset]),
        "the other's ms": 1e3 * statistics.median(times[other]),
        "ratio": ratio,
        "rounds": rounds,
    }


def synchronisations(place: Place, preset: str, frames: int) -> Row:
    """Count in both steps what the host waits for, by the profiler, and on a GPU by PyTorch's own warnings, with lines.

    Optimizers are left out: the fused one reads each weight's count of steps on a CPU, and nothing on a GPU.
    """
    use_precision(TF32)
    system = TrainedSystem(training_config(preset, frames), None, None, place.batch, place.device)

    def both() -> None:
        for take in (system.gan.discriminator_step, system.gan.generator_step):
            system.step(take)

    for _ in range(WARM_UP):
        both()
    cuda = place.device.startswith("cuda")
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as profiler:
        both()
    counts = Counter(event.name for event in profiler.events() if event.name in WAITS or event.name.startswith(COPIES))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if cuda:
            torch.cuda.set_sync_debug_mode("warn")
        both()
    lines = Counter(f"{one.filename}:{one.lineno}" for one in said if "synchroniz" in str(one.message))
    return {"values read": counts.pop(READ, 0), "other waits": _counted(counts), "where": _counted(lines)}


def use_precision(precision: str) -> None:
    """Let float32 be itself or TF32 on a GPU, with the fastest algorithms, as both hosts' trainings set them."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != FLOAT32


def timed(call: Callable[[], object], place: Place) -> list[float]:
    """Return the seconds of calls until ``place.seconds`` are over, after those that warm up; on a CPU of its time."""
    device = torch.device(place.device)
    for _ in range(WARM_UP):
        last = seconds_of(call, device)
    return [seconds_of(call, device) for _ in range(_rounds(last, place.seconds))]


def _rounds(one: float, seconds: float) -> int:
    return min(max(int(seconds / max(one, 1e-6)), FEWEST), MOST)


def _compared(preset: str, frames: int, bf16: bool) -> TrainedSystem:
    """Return a system on the CPU in which nothing is drawn at random."""
    system = TrainedSystem(training_config(preset, frames, bf16), None, None, 1, "cpu")
    for module in system.gan.modules():
        if hasattr(module, "drop_path"):
            module.drop_path = 0.0
    return system


def _values(gan: nn.Module, wav: torch.Tensor) -> dict[str, float]:
    """Return the losses of both steps and the norms of the generator's gradients."""
    stats = gan.discriminator_step(wav).stats | gan.generator_step(wav).stats
    chosen = {name: value for name, value in stats.items() if "/" not in name or name.startswith("balancer/norm_")}
    return {name: float(value) for name, value in chosen.items()}


@lru_cache(maxsize=1)  # all lengths of a variant follow each other
def _varied(preset: str, variant: str, place: Place) -> TrainedSystem:
    frames = load_preset(preset).training.segment_frames
    return TrainedSystem(
        training_config(preset, frames, generator=VARIANTS[variant]), None, None, place.batch, place.device
    )


@lru_cache(maxsize=2)
def _built(name: str) -> Rival:
    return build(name)


def _counted(found: Counter) -> str:
    return ", ".join(f"{count} x {name}" for name, count in found.most_common()) or "none"
