"""Mel losses of the runs of ablate.sh by step: read from the trainings, drawn as one picture."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evagan_plugin.errors import require
from evagan_plugin.utils.figures import new_figure, save_figure

PANELS = {"train_mel": "training", "valid_mel": "validation"}
INCHES = (10.0, 4.2)

Curve = list[dict[str, float]]
"""Points ``step`` with ``train_mel``, ``valid_mel`` or both."""


def read_curve(folder: Path, epochs: Sequence[Mapping[str, Any]]) -> Curve:
    """Return the mel losses of a training by step.

    Args:
        folder: Of the run; the training loss at every log interval comes from ``tensorboard/train`` in it.
        epochs: ESPnet's statistics by epoch, with the validation loss.

    Raises:
        EvaganError: If TensorBoard is missing.
    """
    means = {stats["train"]["total_count"]: stats["train"]["mel"] for stats in epochs}
    points: dict[int, dict[str, float]] = defaultdict(dict)
    for step, value in (_logged(folder / "tensorboard" / "train", means) or means).items():
        points[step]["train_mel"] = value
    for stats in epochs:
        points[stats["train"]["total_count"]]["valid_mel"] = stats["valid"]["mel"]
    return [{"step": step, **points[step]} for step in sorted(points)]


def _logged(events: Path, means: Mapping[int, float]) -> dict[int, float]:
    """Return the means over log intervals by step; empty if none was logged."""
    if not events.is_dir():
        return {}
    require("tensorboard", "espnet")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(events), size_guidance={"scalars": 0})
    log.Reload()
    values = defaultdict(list)
    for scalar in log.Scalars("mel") if "mel" in log.Tags()["scalars"] else ():
        values[scalar.step].append(scalar.value)
    # ESPnet writes the mean of the epoch under the same name and step, after the epoch's last interval.
    for step in means:
        values[step] = values[step][:-1]
    # A training that was broken off repeats steps: the last counts.
    return {step: repeated[-1] for step, repeated in values.items() if repeated}


def draw_curves(curves: Mapping[str, Sequence[Curve]], out: Path) -> None:
    """Write a picture of training and validation loss: a line per variant, the mean over seeds, and their range.

    Args:
        curves: By variant, the curves of its seeds.
        out: Picture file.

    Raises:
        EvaganError: If matplotlib is missing.
    """
    figure = new_figure(*INCHES)
    panels = figure.subplots(1, len(PANELS), sharex=True, sharey=True)
    for panel, (field, title) in zip(panels, PANELS.items(), strict=True):
        for variant, seeds in curves.items():
            values = defaultdict(list)
            for point in (point for curve in seeds for point in curve if field in point):
                values[point["step"]].append(point[field])
            steps = sorted(values)
            means = [statistics.fmean(values[step]) for step in steps]
            (line,) = panel.plot(steps, means, label=variant, linewidth=1.2, marker="." if len(steps) < 20 else "")
            if len(seeds) > 1:
                low, high = ([bound(values[step]) for step in steps] for bound in (min, max))
                panel.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
        panel.set_title(title)
        panel.set_xlabel("step")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("mel loss")
    lines, names = panels[0].get_legend_handles_labels()
    for text in figure.legend(lines, names, loc="outside right upper").get_texts():
        text.set_parse_math(False)
    save_figure(figure, out)
