"""What a generator step keeps for its backward pass, by kind of activation: bytes, peak and time, side by side."""

import multiprocessing
import statistics
import time
from typing import Annotated, NamedTuple

import torch
import typer
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.utils import parametrize

from evagan_plugin.config import build_config
from evagan_plugin.training.gan import GANVocoder
from evagan_plugin.utils.device import checked_device, describe_device, forget_peak, peak_memory
from evagan_plugin.utils.progress import track

VARIANTS = {
    "LeakyReLU": {"activation": "leaky_relu", "recompute_activation": False, "checkpointing": False},
    "SiLU, plain": {"activation": "silu", "recompute_activation": False, "checkpointing": False},
    "SiLU, recomputed": {"activation": "silu", "recompute_activation": True, "checkpointing": False},
    "SiLU, recomputed + checkpointing": {"activation": "silu", "recompute_activation": True, "checkpointing": True},
}
PLAIN = "SiLU, plain"
MIB = 2**20


class Usage(NamedTuple):
    """Memory of one variant (bytes)."""

    saved: int
    """Tensors kept between the generator's forward and backward pass, weights left out."""
    peak: int
    """Growth of the process's peak memory, or of CUDA's, over one whole step."""


def memory(
    preset: Annotated[str, typer.Option(help="Preset to measure.")] = "eva_gan_base_44k",
    frames: Annotated[int, typer.Option(help="Mel frames of the item; 0: 256 with CUDA, 64 without.")] = 0,
    batch: Annotated[int, typer.Option(help="Items.")] = 1,
    rounds: Annotated[int, typer.Option(help="Timed steps of each variant, interleaved, after one that is not.")] = 3,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cuda" if torch.cuda.is_available() else "cpu",
) -> None:
    """Measure one generator step with LeakyReLU, plain SiLU, SiLU recomputed in backward, and checkpointing too."""
    checked_device(device)
    frames = frames or (256 if device.startswith("cuda") else 64)
    usage = {}
    for name in track(list(VARIANTS), "memory"):
        # A process each, so that one variant's peak is not hidden under another's.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            usage[name] = pool.apply(measure_memory, (preset, name, frames, batch, device))
    seconds = measure_time(preset, frames, batch, rounds, device)
    reference = usage[PLAIN]
    kind = "CUDA peak" if device.startswith("cuda") else "RSS peak"
    typer.echo(
        f"{preset}, {batch} x {frames} frames, one generator step on {describe_device(device)}, "
        f"torch {torch.__version__}"
    )
    typer.echo(f"{'activation':34}{'saved MiB':>11}{'ratio':>8}{kind + ' MiB':>15}{'ratio':>8}{'time ratio':>12}")
    for name, (saved, peak) in usage.items():
        ratios = [step / plain for step, plain in zip(seconds[name], seconds[PLAIN], strict=True)]
        typer.echo(
            f"{name:34}{saved / MIB:>11.1f}{saved / reference.saved:>8.2f}{peak / MIB:>15.1f}"
            f"{peak / reference.peak:>8.2f}{statistics.median(ratios):>12.2f}"
        )


def measure_memory(preset: str, variant: str, frames: int, batch: int, device: str) -> Usage:
    """Build a variant, run one generator step of it and measure it."""
    return usage(*_prepare(preset, variant, frames, batch, device))


def usage(gan: GANVocoder, wav: torch.Tensor) -> Usage:
    """Run one generator step and measure it."""
    forget_peak(wav.device)
    before = peak_memory(wav.device)
    gan.generator_step(wav).loss.backward()
    after = peak_memory(wav.device)
    gan.zero_grad(set_to_none=True)
    return Usage(saved_bytes(gan, wav), after - before)


def saved_bytes(gan: GANVocoder, wav: torch.Tensor) -> int:
    """Return the bytes kept after the generator's forward pass: autograd's saved tensors and checkpoints' inputs."""
    storages: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    # A checkpoint holds its input outside autograd's saved tensors, so stage inputs are counted for every variant.
    def keep_input(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        keep(inputs[0])

    handles = [stage.register_forward_pre_hook(keep_input) for stage in gan.generator.upsampler.stages]
    mel = gan.mel(wav)[..., : wav.shape[-1] // gan.config.mel.hop_length]
    with parametrize.cached():
        weights = [p for module in gan.generator.modules() for p in module.parameters(recurse=False)]
        weights += [m.weight for m in gan.generator.modules() if parametrize.is_parametrized(m, "weight")]
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            out = gan.generator(mel)
        for tensor in weights:
            storages.pop(tensor.untyped_storage().data_ptr(), None)
    for handle in handles:
        handle.remove()
    del out
    return sum(storages.values())


def measure_time(preset: str, frames: int, batch: int, rounds: int, device: str) -> dict[str, list[float]]:
    """Return seconds of ``rounds`` generator steps of each variant, in turn, after one round to warm up."""
    prepared = {name: _prepare(preset, name, frames, batch, device) for name in VARIANTS}
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in track(range(rounds + 1), "time"):
        for name, (gan, wav) in prepared.items():
            start = time.perf_counter()
            gan.generator_step(wav).loss.backward()
            if device.startswith("cuda"):
                torch.cuda.synchronize(device)
            seconds[name].append(time.perf_counter() - start)
            gan.zero_grad(set_to_none=True)
    return {name: times[1:] for name, times in seconds.items()}


def _prepare(preset: str, variant: str, frames: int, batch: int, device: str) -> tuple[GANVocoder, torch.Tensor]:
    torch.manual_seed(0)
    config = build_config(
        {"preset": preset, "generator": VARIANTS[variant], "training": {"segment_frames": max(frames, 32)}}
    )
    gan = GANVocoder(config).to(device).train()
    return gan, 0.1 * torch.randn(batch, 1, frames * config.mel.hop_length, device=device)
