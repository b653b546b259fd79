"""Speed of synthesis: EVA-GAN beside ESPnet's HiFi-GAN, and what a second of audio costs either in operations."""

import statistics
from typing import Annotated

import torch
import typer
from torch import nn

from evagan_plugin.config import load_preset
from evagan_plugin.errors import UsageError, require
from evagan_plugin.evaluation.speed import audio_seconds, gflops_per_second, measure, prepare
from evagan_plugin.model.generator import EVAGANGenerator
from evagan_plugin.utils.device import checked_device, describe_device

HIFIGAN_PRESET = "hifigan_v1_22k"
HIFIGAN = "HiFi-GAN v1 (ESPnet)"


def speed(
    preset: Annotated[list[str] | None, typer.Option(help="Presets to measure; repeatable.")] = None,
    seconds: Annotated[float, typer.Option(help="Length of the synthesised audio (seconds).")] = 2.0,
    rounds: Annotated[int, typer.Option(help="Timed syntheses of each, interleaved, after one that is not.")] = 5,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cuda" if torch.cuda.is_available() else "cpu",
    threads: Annotated[int, typer.Option(help="Threads on the CPU; 0: as many as PyTorch chooses.")] = 0,
) -> None:
    """Print real-time factors of ESPnet's HiFi-GAN and of EVA-GAN, measured side by side in one run."""
    if seconds <= 0 or rounds < 1:
        raise UsageError("--seconds and --rounds must be positive")
    checked_device(device)
    if threads:
        torch.set_num_threads(threads)
    systems = {HIFIGAN: (espnet_hifigan(), load_preset(HIFIGAN_PRESET).mel)}
    for name in preset or ["eva_gan_base_22k"]:
        config = load_preset(name)
        systems[name] = (EVAGANGenerator.from_config(config).remove_weight_norm(), config.mel)
    prepared = {
        name: prepare(generator.eval().to(device), mel, seconds, device) for name, (generator, mel) in systems.items()
    }
    times = measure(prepared, rounds)
    typer.echo(f"{seconds:g} s of audio, {rounds} interleaved rounds on {describe_device(device)}")
    typer.echo(f"{'generator':24}{'rate':>7}{'real-time factor':>18}{'to HiFi-GAN':>13}{'GFLOPs/s of audio':>19}")
    for name, (generator, mel) in systems.items():
        factors = [taken / audio_seconds(mel, seconds) for taken in times[name]]
        base = [taken / audio_seconds(systems[HIFIGAN][1], seconds) for taken in times[HIFIGAN]]
        ratio = statistics.median(ours / theirs for ours, theirs in zip(factors, base, strict=True))
        typer.echo(
            f"{name:24}{mel.sample_rate:>7}{statistics.median(factors):>18.4f}{ratio:>13.2f}"
            f"{gflops_per_second(generator, mel):>19.1f}"
        )


def espnet_hifigan() -> nn.Module:
    """Return ESPnet's own HiFi-GAN v1 generator, weight norm removed.

    Raises:
        EvaganError: If ESPnet is not installed.
    """
    generator = require("espnet2.gan_tts.hifigan.hifigan", "espnet").HiFiGANGenerator()
    generator.remove_weight_norm()
    return generator
