"""How fast generators are, side by side, and what they compute: measured on the opened models."""

import time
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from evagan_plugin.config import MelConfig
from evagan_plugin.utils.progress import track


def gflops_per_second(generator: nn.Module, mel: MelConfig) -> float:
    """Return the operations (1e9; a multiply-add is two) of convolutions and linear layers per second of audio.

    Args:
        generator: Any module (1, n_mels, F) -> (1, 1, F * hop), on any device, the meta device too.
        mel: The mel that it takes.
    """
    frames = 64
    features = torch.empty(1, mel.n_mels, frames, device=next(generator.parameters()).device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        generator(features)
    return counter.get_total_flops() / (frames * mel.hop_length / mel.sample_rate) / 1e9


def frames_of(mel: MelConfig, seconds: float) -> int:
    """Return the number of mel frames of so many seconds, at least one."""
    return max(1, round(seconds * mel.sample_rate / mel.hop_length))


def audio_seconds(mel: MelConfig, seconds: float) -> float:
    """Return the length of the audio that is made of :func:`frames_of` frames."""
    return frames_of(mel, seconds) * mel.hop_length / mel.sample_rate


def prepare(
    generator: nn.Module, mel: MelConfig, seconds: float, device: str, batch: int = 1
) -> Callable[[], torch.Tensor]:
    """Return a function that synthesises so many seconds of each of ``batch`` items."""
    features = torch.randn(batch, mel.n_mels, frames_of(mel, seconds), device=device)

    @torch.inference_mode()
    def synthesize() -> torch.Tensor:
        wav = generator(features)
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        return wav

    return synthesize


def measure(systems: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each synthesis, system by system in turn, after one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in systems}
    for _ in track(range(rounds + 1), "speed"):
        for name, synthesize in systems.items():
            start = time.perf_counter()
            synthesize()
            times[name].append(time.perf_counter() - start)
    return {name: taken[1:] for name, taken in times.items()}
