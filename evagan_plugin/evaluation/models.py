"""The models that made the compared systems: their size, and how fast they are side by side."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from evagan_plugin.errors import EvaganError, UsageError, nearest
from evagan_plugin.evaluation.cost import inspect_generator
from evagan_plugin.evaluation.speed import gflops_per_second, measure, prepare
from evagan_plugin.inference.onnx_engine import OnnxGenerator
from evagan_plugin.inference.third_party import open_vocoder
from evagan_plugin.inference.vocoder import Vocoder
from evagan_plugin.utils.device import describe_device

SECONDS = 2.0
"""Audio that one timed synthesis makes."""


@dataclass(frozen=True)
class Cost:
    """What a model needs to turn mels into audio."""

    model: str
    """Where it was opened from."""
    sample_rate: int
    """Hz, of what it makes."""
    parameters: int
    """Of the generator, weight normalisation folded in."""
    gflops_per_second: float
    """Floating-point operations (1e9) of convolutions and linear layers per second of audio."""
    real_time_factor: float
    """Seconds of computing per second of audio."""


@dataclass(frozen=True)
class Costs:
    """What the models of all systems cost, measured side by side in one run."""

    device: str
    """In words."""
    rounds: int
    """Timed syntheses of each model, interleaved, of :data:`SECONDS` each."""
    by_system: dict[str, Cost]

    @property
    def method(self) -> str:
        """How the real-time factors were measured."""
        return (
            "Real-time factor: seconds of computing per second of audio, mel to waveform, one utterance at a time, "
            f"float32, on {self.device}; median of {self.rounds} rounds of {SECONDS:g} s, all models in turn."
        )


def open_models(models: Mapping[str, str], systems: Mapping[str, object], device: str) -> dict[str, Vocoder]:
    """Open the models of systems, by system.

    Raises:
        UsageError: If a model is of no system, or there is no such file.
        EvaganError: If a model cannot be opened.
    """
    for name in models:
        if name not in systems:
            raise UsageError(f"--model {name}={models[name]}: no system is called '{name}': {nearest(name, systems)}")
    opened = {}
    for name, model in models.items():
        try:
            opened[name] = open_vocoder(model, device=device)
        except EvaganError as error:
            raise type(error)(f"--model {name}={model}: {error}") from None
    return opened


def measure_costs(vocoders: Mapping[str, Vocoder], models: Mapping[str, str], device: str, rounds: int) -> Costs:
    """Measure opened models side by side, synthesis by synthesis in turn.

    Args:
        vocoders: The models by system, on ``device``.
        models: Where each was opened from.
        device: As torch calls it.
        rounds: Timed syntheses of each.
    """
    prepared = {
        name: prepare(vocoder.generator, vocoder.mel_config, SECONDS, device) for name, vocoder in vocoders.items()
    }
    # What comes out is counted, not what goes in: with centred frames it is a hop less.
    seconds = {name: prepared[name]().shape[-1] / vocoder.sample_rate for name, vocoder in vocoders.items()}
    times = measure(prepared, rounds)
    sizes = {name: _size(vocoder) for name, vocoder in vocoders.items()}
    costs = {
        name: Cost(
            model=models[name],
            sample_rate=vocoder.sample_rate,
            parameters=sizes[name][0],
            gflops_per_second=sizes[name][1],
            real_time_factor=statistics.median(times[name]) / seconds[name],
        )
        for name, vocoder in vocoders.items()
    }
    return Costs(describe_device(device), rounds, costs)


def _size(vocoder: Vocoder) -> tuple[int, float]:
    """Return parameters, and operations (1e9) for a second of audio."""
    generator = vocoder.generator
    if isinstance(generator, OnnxGenerator):  # its weights are not PyTorch's, but it is what its config says
        facts = inspect_generator(vocoder.config)
        return facts.parameters, facts.gflops_per_second
    parameters = sum(tensor.numel() for tensor in generator.parameters())
    return parameters, gflops_per_second(generator, vocoder.mel_config)
