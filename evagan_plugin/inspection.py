"""What a generator costs and sees: parameters, operations, receptive field; and what a process has taken."""

import resource
import sys
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from evagan_plugin.generator import EVAGANGenerator
from evagan_plugin.schema import GeneratorConfig, HeadConfig, MelConfig, VocoderConfig

PEAK_RSS = "peak_rss_GB"
"""What :func:`peak_rss` is called in training logs (2**30 bytes), beside ESPnet's ``gpu_max_cached_mem_GB``."""


@dataclass(frozen=True)
class GeneratorFacts:
    """Figures of one generator."""

    parameters: int
    """Parameters with weight normalisation folded in."""
    context_parameters: int
    """Of these, in the context-aware module."""
    gflops_per_second: float
    """Floating-point operations (1e9; a multiply-add is two) for a second of audio, convolutions and linear layers."""
    receptive_field_frames: int
    """Mel frames that one output sample depends on, at most."""
    receptive_field_seconds: float
    """The same in seconds."""


def inspect_generator(config: VocoderConfig) -> GeneratorFacts:
    """Measure the generator of a config; nothing is computed and no weights are allocated (meta device)."""
    with torch.device("meta"):
        generator = EVAGANGenerator.from_config(config).remove_weight_norm().eval()
    frames = receptive_field(config.generator)
    return GeneratorFacts(
        parameters=sum(p.numel() for p in generator.parameters()),
        context_parameters=sum(p.numel() for p in generator.context.parameters()),
        gflops_per_second=gflops_per_second(generator, config.mel),
        receptive_field_frames=frames,
        receptive_field_seconds=frames * config.mel.hop_length / config.mel.sample_rate,
    )


def gflops_per_second(generator: nn.Module, mel: MelConfig) -> float:
    """Return the operations (1e9; a multiply-add is two) of convolutions and linear layers for a second of audio.

    Args:
        generator: Any module (1, n_mels, F) -> (1, 1, F * hop), on any device, the meta device too.
        mel: The mel that it takes.
    """
    frames = 64
    features = torch.empty(1, mel.n_mels, frames, device=next(generator.parameters()).device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        generator(features)
    return counter.get_total_flops() / (frames * mel.hop_length / mel.sample_rate) / 1e9


def peak_rss() -> int:
    """Return the most memory (bytes) that this process has had resident so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def receptive_field(config: GeneratorConfig) -> int:
    """Return how many mel frames can reach one output sample, the one that sees most."""
    # Walk from an output sample back to the frames: [first, last] are positions at the current rate, followed for
    # every phase of the sample within a frame.
    widest = 0
    plain = 1 if config.resblock == 1 else 0
    block = max(
        sum((dilation + plain) * (kernel - 1) // 2 for dilation in dilations)
        for kernel, dilations in zip(config.resblock_kernels, config.dilations, strict=True)
    )
    kernel = config.post_kernel // 2
    for phase in range(config.upsample_factor):
        first, last = _head_frames(config.head, 64 * config.upsample_factor + phase)
        first, last = first - kernel, last + kernel
        for rate, width in reversed(list(zip(config.upsample_rates, config.kernels, strict=True))):
            padding = (width - rate + 1) // 2
            # Output n of a transposed convolution sees inputs m with 0 <= n + padding - m * rate < width.
            first = -(-(first - block + padding - width + 1) // rate)
            last = (last + block + padding) // rate
        widest = max(widest, last - first + 1)
    context = config.context
    radius = config.pre_kernel // 2
    if context:
        radius += (sum(context.depths) + 1) * (context.kernel_size // 2)
    return widest + 2 * radius


def _head_frames(head: HeadConfig, sample: int) -> tuple[int, int]:
    """Return the first and the last frame of the head's input that reach a sample of its output."""
    if not head.istft:
        return sample, sample
    n_fft, hop = head.istft.n_fft, head.istft.hop_length
    # Counted from the start of frame 0. The window is 0 at its first sample.
    position = sample + (n_fft // 2 if head.istft.center else (n_fft - hop) // 2)
    return -(-(position - n_fft + 1) // hop), (position - 1) // hop
