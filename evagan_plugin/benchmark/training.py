"""What a training step costs: seconds for each second of audio, part by part, beside ESPnet's HiFi-GAN generator."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import torch
import typer
from torch import Tensor, nn

from evagan_plugin.benchmark.rivals import HIFIGAN, espnet_hifigan
from evagan_plugin.config import OptimizationConfig, VocoderConfig, build_config
from evagan_plugin.errors import UsageError
from evagan_plugin.model.discriminators import SubDiscriminator
from evagan_plugin.training.gan import GANVocoder
from evagan_plugin.utils.device import checked_device, describe_device
from evagan_plugin.utils.progress import track

FORMATS = {"nchw": False, "channels_last": True, "auto": None}
PARTS = ("losses", "generator", "discriminator", "batch")
MeasuredTimes = dict[str, list[float]]


def training(
    preset: Annotated[str, typer.Option(help="Preset to measure.")] = "eva_gan_tiny_16k",
    frames: Annotated[int, typer.Option(help="Mel frames of a training item.")] = 32,
    batch: Annotated[int, typer.Option(help="Items of a batch.")] = 4,
    rounds: Annotated[int, typer.Option(help="Timed rounds, interleaved, after one that is not.")] = 3,
    memory_format: Annotated[
        Literal["auto", "nchw", "channels_last", "both"], typer.Option(help="Of the discriminators' convolutions.")
    ] = "auto",
    hifigan: Annotated[bool, typer.Option(help="Measure ESPnet's HiFi-GAN generator, too.")] = True,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cuda" if torch.cuda.is_available() else "cpu",
    threads: Annotated[int, typer.Option(help="Threads on the CPU; 0: as many as PyTorch chooses.")] = 0,
) -> None:
    """Print seconds of a training step per second of audio: losses, each step, and a whole batch.

    On a CPU they are seconds of its time, whatever else runs there. ``losses`` are the mel and STFT part alone;
    ``batch`` is both steps and both optimizers.
    """
    if min(frames, batch, rounds) < 1:
        raise UsageError("--frames, --batch and --rounds must be positive")
    checked_device(device)
    if threads:
        torch.set_num_threads(threads)
    config = training_config(preset, frames)
    formats = ["nchw", "channels_last"] if memory_format == "both" else [memory_format]
    makers: dict[str, Callable[[], nn.Module | None]] = {preset: lambda: None}
    if hifigan:
        makers[HIFIGAN] = lambda: espnet_hifigan(config.mel, "--no-hifigan")
    systems = {
        (name, kind): TrainedSystem(config, make(), FORMATS[kind], batch, device)
        for name, make in makers.items()
        for kind in formats
    }
    times = _measure(systems, rounds)
    audio = batch * frames * config.mel.hop_length / config.mel.sample_rate
    clock = "wall" if device.startswith("cuda") else "CPU"
    typer.echo(
        f"{clock} seconds per second of audio, {batch} x {frames} frames, {rounds} interleaved rounds on "
        f"{describe_device(device)}, torch {torch.__version__}"
    )
    typer.echo(f"{'generator':24}{'discriminators':16}" + "".join(f"{part:>15}" for part in PARTS))
    for (name, kind), taken in times.items():
        medians = [statistics.median(taken[part]) / audio for part in PARTS]
        typer.echo(f"{name:24}{kind:16}" + "".join(f"{seconds:>15.3f}" for seconds in medians))


def training_config(
    preset: str, frames: int, bf16: bool = False, generator: Mapping[str, object] | None = None
) -> VocoderConfig:
    """Return a preset whose discriminators are at work from the first step, on whole items of ``frames``."""
    item = {"segment_frames": frames, "discriminator_frames": None, "discriminator_start_steps": 0, "bf16": bf16}
    return build_config({"preset": preset, "generator": dict(generator or {}), "training": item})


class TrainedSystem:
    """A vocoder in training, and the parts of a step that are timed.

    Args:
        config: The whole vocoder.
        generator: Another generator in the place of the config's, or None.
        channels_last: Memory format of the discriminators' convolutions, as :class:`SubDiscriminator` has it.
        batch: Items of a batch, each of ``training.segment_frames``.
        device: Where to compute.
    """

    def __init__(
        self, config: VocoderConfig, generator: nn.Module | None, channels_last: bool | None, batch: int, device: str
    ) -> None:
        torch.manual_seed(0)
        self.gan = GANVocoder(config, generator).to(device).train()
        for module in self.gan.discriminators.modules():
            if isinstance(module, SubDiscriminator):
                module.channels_last = channels_last
        self.batch, self.device = batch, device
        self.take(config.training.segment_frames)
        defaults = OptimizationConfig()
        self.optimizers = [
            torch.optim.AdamW(part.parameters(), defaults.learning_rate, betas=defaults.betas, fused=defaults.fused)
            for part in (self.gan.discriminators, self.gan.generator)
        ]

    def take(self, frames: int) -> None:
        """Make items of so many frames from now on."""
        samples = frames * self.gan.config.mel.hop_length
        self.wav = 0.1 * torch.randn(self.batch, 1, samples, device=self.device)

    def losses(self) -> None:
        """Take the mel of the item, and the gradient of the losses that need no discriminator."""
        gan, fake = self.gan, (self.wav * 0.9).requires_grad_()
        with torch.no_grad():
            gan.mel(self.wav)
        loss = gan.mel_loss(fake, self.wav)
        if "stft" in gan.weights:
            loss = loss + gan.stft_loss(fake, self.wav)
        torch.autograd.grad(loss, fake)

    def step(self, take: Callable[[Tensor], object]) -> None:
        """Take one step by itself, forward and backward."""
        take(self.wav).loss.backward()
        self.gan.zero_grad(set_to_none=True)

    def both(self) -> None:
        """Take both steps of a batch, as hosts do."""
        for take, optimizer in zip(
            (self.gan.discriminator_step, self.gan.generator_step), self.optimizers, strict=True
        ):
            take(self.wav).loss.backward()
            optimizer.step()
            self.gan.zero_grad(set_to_none=True)

    def parts(self) -> dict[str, Callable[[], None]]:
        """Return what is timed, by the names of :data:`PARTS`."""
        calls = (
            self.losses,
            lambda: self.step(self.gan.generator_step),
            lambda: self.step(self.gan.discriminator_step),
            self.both,
        )
        return dict(zip(PARTS, calls, strict=True))


def _measure(systems: dict[tuple[str, str], TrainedSystem], rounds: int) -> dict[tuple[str, str], MeasuredTimes]:
    """Return the seconds of each part of each system, part by part and system by system in turn."""
    times = {key: {part: [] for part in PARTS} for key in systems}
    for _ in track(range(rounds + 1), "training"):
        for part in PARTS:
            for key, system in systems.items():
                times[key][part].append(seconds_of(system.parts()[part], system.wav.device))
    return {key: {part: taken[1:] for part, taken in parts.items()} for key, parts in times.items()}


def seconds_of(call: Callable[[], None], device: torch.device) -> float:
    """Return the seconds that a call takes: of the process's CPU time, or of the clock where a GPU computes."""
    if device.type == "cpu":
        start = time.process_time()
        call()
        return time.process_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start
