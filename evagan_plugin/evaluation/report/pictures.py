"""Pictures of a report, ready to stand inside its page."""

import io
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from evagan_plugin.data.names import REFERENCE
from evagan_plugin.evaluation.metrics.base import MetricInfo
from evagan_plugin.evaluation.report.embedding import Picture, image_uri, svg_uri
from evagan_plugin.evaluation.report.tables import ARROW, number
from evagan_plugin.evaluation.report.worst import WorstUtterance
from evagan_plugin.evaluation.scores import GROUND_TRUTH, Scores
from evagan_plugin.evaluation.spectrograms import (
    DIFFERENCE_COLOURS,
    LEVEL_COLOURS,
    RANGE_DB,
    difference_figure,
    loudest_level,
)
from evagan_plugin.utils.figures import caption, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 100
MARKERS = "osD^vPX*<>"


def category_charts(scores: Scores) -> Iterator[Picture]:
    """Yield a chart for each metric: every system's figure and interval by category."""
    systems = [system for system in scores.systems if system != GROUND_TRUTH]
    for metric in scores.metrics:
        found = {
            system: [scores.estimate(system, metric, category) for category in scores.categories] for system in systems
        }
        if any(estimate.utterances for estimates in found.values() for estimate in estimates):
            yield _chart(metric, scores.categories, found)


def spectrograms(utterance: WorstUtterance, sample_rate: int) -> dict[str, Picture]:
    """Return a picture by system: reference, system and difference, all systems on one scale."""
    loudest = loudest_level(utterance.waves.values(), sample_rate)
    reference = utterance.waves[REFERENCE]
    pictures = {}
    for name, wav in utterance.waves.items():
        if name == REFERENCE:
            continue
        figure = difference_figure(utterance.utt_id, reference, wav, name, sample_rate, loudest)
        words = (
            f"Mel spectrograms of {utterance.utt_id}, 0 to {sample_rate / 2000:g} kHz: reference, {name}, and their "
            f"difference; levels from {RANGE_DB:g} dB below the loudest point of all systems."
        )
        pictures[name] = Picture(_png(figure), words)
    return pictures


def _chart(metric: MetricInfo, categories: list[str], found: dict[str, list]) -> Picture:
    figure = new_figure(1.8 + 1.3 * len(categories), 3.4)
    panel = figure.subplots()
    step = 0.7 / len(found)
    handles = []
    for place, estimates in enumerate(found.values()):
        shown = [(line, estimate) for line, estimate in enumerate(estimates) if estimate.value == estimate.value]
        across = [line + (place - (len(found) - 1) / 2) * step for line, _ in shown]
        values = [estimate.value for _, estimate in shown]
        reach = [
            [estimate.value - estimate.low for _, estimate in shown],
            [estimate.high - estimate.value for _, estimate in shown],
        ]
        marker = MARKERS[place % len(MARKERS)]
        handles.append(panel.errorbar(across, values, yerr=reach, fmt=marker, capsize=3, markersize=5))
    panel.set_xticks(range(len(categories)), list(map(caption, categories)))
    panel.set_xlim(-0.5, len(categories) - 0.5)
    panel.set_title(f"{metric.label} {ARROW.get(metric.better, '')}".rstrip(), fontsize=11)
    panel.grid(axis="y", alpha=0.3)
    # Names given here and not as labels of the lines: a label that begins with "_" is left out of legends.
    figure.legend(handles, list(map(caption, found)), loc="outside lower center", ncols=2, fontsize=8)
    parts = (
        f"{category}: " + ", ".join(f"{system} {number(estimates[line].value)}" for system, estimates in found.items())
        for line, category in enumerate(categories)
    )
    return Picture(svg_uri(figure), f"{metric.label} by category. {'; '.join(parts)}.")


def _png(figure: "Figure") -> str:
    from PIL import Image  # matplotlib brings it

    figure.set_dpi(DPI)
    figure.canvas.draw()
    pixels = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    palette = Image.new("P", (1, 1))
    palette.putpalette(_palette())
    stream = io.BytesIO()
    # A third of the size of true colours, which the eye does not tell apart here.
    pixels.quantize(palette=palette, dither=Image.Dither.NONE).save(stream, "PNG")
    return image_uri(stream, "png")


@cache
def _palette() -> bytes:
    """Return the colours of spectrograms, 256 times red, green and blue: both colour maps, and greys for the text."""
    from matplotlib import colormaps

    maps = [colormaps[name](np.linspace(0, 1, 120))[:, :3] for name in (LEVEL_COLOURS, DIFFERENCE_COLOURS)]
    greys = np.repeat(np.linspace(0, 1, 16)[:, None], 3, axis=1)
    return (255 * np.concatenate([*maps, greys])).round().astype(np.uint8).tobytes()
