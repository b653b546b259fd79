"""``--dtype auto``: bfloat16 where the processor computes in it and a model's waveforms hardly change, else float32."""

import copy
import logging
import math

import torch
from torch import nn

from evagan_plugin.config import MelConfig
from evagan_plugin.inference.onnx_engine import OnnxGenerator
from evagan_plugin.inference.probe import typical_mel

logger = logging.getLogger(__name__)

BFLOAT16 = ("avx512_bf16", "amx_bf16")
"""Abilities of a processor that multiplies in bfloat16; any other emulates it, several times slower than float32."""
LEAST_SNR = 50.0
"""Signal-to-noise ratio (dB) of waveforms in bfloat16, those in float32 being the signal, from which on it is taken."""
FRAMES = 64
"""Of the mel that it is measured on."""


def automatic_dtype(generator: nn.Module, mel: MelConfig, device: torch.device) -> torch.dtype:
    """Return the type to compute in, and log in one line why.

    Args:
        generator: In evaluation mode, in float32, on ``device``.
        mel: What it hears.
        device: Where it computes; only a CPU is measured, elsewhere it is float32.
    """
    dtype, reason = _choice(generator, mel, device)
    logger.warning("dtype auto: %s, since %s", str(dtype).removeprefix("torch."), reason)
    return dtype


def _choice(generator: nn.Module, mel: MelConfig, device: torch.device) -> tuple[torch.dtype, str]:
    if isinstance(generator, OnnxGenerator):
        return torch.float32, "exported files compute in it"
    if device.type != "cpu":
        return torch.float32, f"bfloat16 is measured on CPUs only, and this is {device.type}"
    if not bfloat16_abilities():
        return torch.float32, f"this processor has none of {', '.join(BFLOAT16)}"
    try:
        ratio = bfloat16_snr(generator, mel)
    except (RuntimeError, NotImplementedError, TypeError):
        return torch.float32, "this model cannot compute in bfloat16"
    if not ratio >= LEAST_SNR:
        return torch.float32, f"bfloat16 is {ratio:.0f} dB from it here, and {LEAST_SNR:.0f} dB are asked for"
    return torch.bfloat16, f"it is {ratio:.0f} dB from float32 here and the processor has {bfloat16_abilities()[0]}"


def bfloat16_abilities() -> list[str]:
    """Return which of :data:`BFLOAT16` this processor has."""
    abilities = torch.cpu.get_capabilities()
    return [name for name in BFLOAT16 if abilities.get(name)]


@torch.inference_mode()
def bfloat16_snr(generator: nn.Module, mel: MelConfig) -> float:
    """Return the signal-to-noise ratio (dB) of waveforms in bfloat16, those in float32 being the signal."""
    features = typical_mel(mel, 1, FRAMES)
    signal = generator(features).double()
    noise = copy.deepcopy(generator).to(torch.bfloat16)(features.to(torch.bfloat16)).double() - signal
    power, error = float(signal.square().sum()), float(noise.square().sum())
    if not error:
        return math.inf
    return 10 * math.log10(power / error) if power else -math.inf
