"""What is measured in which order: the most telling first, each section until its part of the time is over."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

from evagan_plugin.benchmark.gpu import measures
from evagan_plugin.benchmark.gpu.measures import BF16, FLOAT32, TF32, Place, Row
from evagan_plugin.benchmark.memory import VARIANTS
from evagan_plugin.benchmark.rivals import HIFIGAN
from evagan_plugin.config import load_preset

LENGTHS = (1.0, 5.0)
"""Of the audio that two presets are compared on (seconds)."""


@dataclass(frozen=True)
class Case:
    """One measurement: a function of :mod:`measures`, its arguments, and the first columns of its row."""

    function: Callable[..., Row]
    arguments: dict[str, object]
    labels: Row


@dataclass(frozen=True)
class Section:
    """Measurements that make one table."""

    name: str
    title: str
    share: float
    """Part of the time, to which what sections before have left is added."""
    text: str
    """What the table says, a sentence or two."""
    cases: list[Case]
    ratio: tuple[str, str] | None = None
    """A column, and that of what it is set in proportion to HiFi-GAN within: rows with the same labels otherwise."""
    rows: list[Row] = field(default_factory=list)
    """What was measured so far."""


def plan(place: Place, presets: list[str], rivals: list[str], frames: list[int], seconds: float) -> list[Section]:
    """Return all sections.

    Args:
        place: Where and on what batches.
        presets: Ours; the first one gives mel and discriminators for HiFi-GAN, and is what others are set against.
        rivals: Names of ``benchmark.rivals``, for synthesis.
        frames: Lengths of training items; the longest is what steps are timed on.
        seconds: Length of synthesised audio.
    """
    longest, shortest = max(frames), min(frames)
    systems = [
        *((preset, False) for preset in presets[:1]),
        (presets[0], True),
        *((name, False) for name in presets[1:]),
    ]

    def steps(precisions: list[str], channels_last: bool, compiled: bool) -> list[Case]:
        return [
            _step(place, preset, longest, hifigan, precision, channels_last, compiled)
            for precision, (preset, hifigan) in product(precisions, systems)
        ]

    where = dict.fromkeys([("cpu", FLOAT32), (place.device, FLOAT32), (place.device, TF32), (place.device, BF16)])
    ratio = ("s/batch", "generator")
    return [
        Section(
            "losses",
            "Are the losses the same?",
            0.08,
            "Losses and norms of gradients of a first batch against a CPU's in float64, relative.",
            [
                Case(
                    measures.losses,
                    {"place": place, "preset": preset, "frames": shortest, "device": device, "precision": precision},
                    {"preset": preset, "device": device, "precision": precision},
                )
                for preset, (device, precision) in product(presets, where)
            ],
        ),
        Section(
            "steps",
            "Seconds per batch",
            0.27,
            f"Both steps and both optimizers, {place.batch} x {longest} frames. HiFi-GAN stands in the place of the "
            "first preset's generator: mel, discriminators and losses are the same.",
            steps([TF32, BF16], False, False),
            ratio,
        ),
        Section(
            "synthesis",
            "Synthesis",
            0.15,
            f"{seconds:g} s of audio per item, random weights, TF32.",
            [
                Case(
                    measures.synthesis,
                    {"place": place, "name": name, "items": items, "seconds": seconds},
                    {"generator": name, "batch": items},
                )
                for items, name in product((1, 16), dict.fromkeys([*presets, HIFIGAN, *rivals]))
            ],
            ("s/s of audio", "generator"),
        ),
        Section(
            "presets",
            "One preset against another",
            0.04,
            "Synthesis of one item, in turn. The paper has the big model at twice the time of the base model.",
            [
                Case(
                    measures.against,
                    {"place": place, "preset": preset, "other": presets[0], "seconds": length},
                    {"preset": preset, "against": presets[0], "s of audio": length},
                )
                for preset, length in product(presets[1:], LENGTHS)
            ],
        ),
        Section(
            "synchronisations",
            "What the host waits for",
            0.06,
            "In one batch after the first ones; a number read by the host stops a GPU's queue.",
            [
                Case(
                    measures.synchronisations,
                    {"place": place, "preset": preset, "frames": shortest},
                    {"preset": preset, "frames": shortest},
                )
                for preset in presets
            ],
        ),
        Section(
            "memory",
            "Memory of a training step",
            0.16,
            f"{place.batch} items. Saved: what the generator keeps for its backward pass; generator step: growth over "
            "what was there before; whole batch: the peak with weights, gradients and optimizers.",
            [
                Case(
                    measures.memory,
                    {"place": place, "preset": preset, "variant": variant, "frames": length},
                    {"preset": preset, "activation": variant, "frames": length},
                )
                for preset in presets
                for variant in VARIANTS
                for length in sorted(frames)
            ],
        ),
        Section(
            "formats",
            "Memory formats and full float32",
            0.09,
            "As seconds per batch, with the discriminators' convolutions in channels_last, and without TF32.",
            [*steps([TF32, BF16], True, False), *steps([FLOAT32], False, False)],
            ratio,
        ),
        Section(
            "compiled",
            "Compiled",
            0.15,
            "As seconds per batch, with generator and discriminators compiled by torch.compile.",
            steps([TF32, BF16], False, True),
            ratio,
        ),
    ]


def known(presets: list[str]) -> None:
    """Raise :class:`ConfigError` if one of the presets does not exist."""
    for preset in presets:
        load_preset(preset)


def _step(
    place: Place, preset: str, frames: int, hifigan: bool, precision: str, channels_last: bool, compiled: bool
) -> Case:
    return Case(
        measures.step,
        {
            "place": place,
            "preset": preset,
            "frames": frames,
            "hifigan": hifigan,
            "precision": precision,
            "channels_last": channels_last,
            "compiled": compiled,
        },
        {
            "generator": HIFIGAN if hifigan else preset,
            "precision": precision,
            "format": "channels_last" if channels_last else "nchw",
        },
    )
