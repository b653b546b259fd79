"""Pictures of a report: scores with intervals, scores against training step, spectrograms of disagreements."""

from pathlib import Path
from typing import TYPE_CHECKING

from evagan_plugin.listening.design.design import ListeningTest, audio_path
from evagan_plugin.listening.results.report import CategoryScores, Report, SystemScore
from evagan_plugin.utils.figures import caption, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"system": "#3457d5", "reference": "#1d7a4b", "anchor": "#8a8f9c"}
DPI = 150


def draw_scores(report: Report, path: Path) -> Path:
    """Draw mean and interval of every system, one panel per category; return the path."""
    parts = [CategoryScores("all", report.systems), *report.categories]
    names = [row.system for row in report.systems]
    figure = new_figure(3.2 * len(parts) + 1.2, 0.42 * len(names) + 1.1)
    panels = figure.subplots(1, len(parts), squeeze=False, sharey=True)[0]
    for panel, part in zip(panels, parts, strict=True):
        for place, row in enumerate(part.systems):
            if row.mean is not None:
                _draw_estimate(panel, row, place)
        panel.set_title(caption(part.category), fontsize=10)
        panel.set_xlim(*_scale_limits(report))
        panel.set_xlabel(f"{report.measure} (mean, 95 %)")
        panel.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(names)), list(map(caption, names)))
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    save_figure(figure, path, DPI)
    return path


def draw_steps(report: Report, path: Path) -> Path:
    """Draw the score against the training step, and below it each objective metric; return the path."""
    rows = sorted(
        (row for row in report.systems if row.step is not None and row.mean is not None),
        key=lambda row: row.step,
    )
    metrics = sorted({name for row in rows for name in row.metrics})
    figure = new_figure(6.4, 2.9 + 1.7 * len(metrics))
    heights = [2.4, *([1.4] * len(metrics))]
    panels = figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    steps = [row.step for row in rows]
    means = [row.mean for row in rows]
    bounds = [row.interval or (row.mean, row.mean) for row in rows]
    reach = [[m - low for m, (low, _) in zip(means, bounds, strict=True)],
             [high - m for m, (_, high) in zip(means, bounds, strict=True)]]  # fmt: skip
    panels[0].errorbar(steps, means, yerr=reach, fmt="o-", capsize=3, color=COLOURS["system"])
    panels[0].set_ylim(*_scale_limits(report))
    panels[0].set_ylabel(report.measure)
    for row in report.systems:
        if row.role != "system" and row.mean is not None:
            panels[0].axhline(row.mean, linestyle=":", color=COLOURS[row.role])
            panels[0].annotate(caption(row.system), (steps[0], row.mean), fontsize=8, color=COLOURS[row.role])
    for panel, name in zip(panels[1:], metrics, strict=True):
        known = [row for row in rows if row.metrics.get(name) is not None]
        panel.plot([row.step for row in known], [row.metrics[name] for row in known], "s-", color="#b3541e")
        panel.set_ylabel(name)
    for panel in panels:
        panel.grid(alpha=0.3)
    panels[-1].set_xlabel("training step")
    save_figure(figure, path, DPI)
    return path


def draw_disagreements(test_dir: Path, design: ListeningTest, report: Report, folder: Path) -> list[Path]:
    """Draw reference and sample of each disagreement as spectrograms, with the raters' marks; return the paths."""
    if not report.disagreements:
        return []
    # Here, because mel spectrograms take torch, which nothing else in a listening test needs.
    from evagan_plugin.audio.io import load_mono
    from evagan_plugin.evaluation.spectrograms import mel_figure

    paths = []
    for number, row in enumerate(report.disagreements, 1):
        item = design.by_id[row.item]
        wavs = {
            name: load_mono(audio_path(test_dir, audio), design.sample_rate)
            for name, audio in (("reference", item.reference), (row.system, item.audio[row.system]))
        }
        figure = mel_figure({item.id: wavs}, design.sample_rate)
        for mark in row.marks:
            figure.axes[1].axvspan(mark.start, mark.end, facecolor="none", edgecolor="cyan", linewidth=1.2)
        paths.append(folder / f"{number}_{row.system}_{item.id}.png")
        save_figure(figure, paths[-1])
    return paths


def _scale_limits(report: Report) -> tuple[float, float]:
    """Leave room at both ends, so that a mean at the end of the scale is drawn whole."""
    lowest, highest = report.scale
    room = 0.04 * (highest - lowest)
    return lowest - room, highest + room


def _draw_estimate(panel: "Axes", row: SystemScore, place: int) -> None:
    low, high = row.interval or (row.mean, row.mean)
    colour = COLOURS[row.role]
    panel.plot([low, high], [place, place], color=colour, linewidth=2.5, alpha=0.6, solid_capstyle="round")
    panel.plot([row.mean], [place], "o", color=colour)
    panel.annotate(f"{row.mean:.2f}", (row.mean, place), (0, 6), textcoords="offset points", ha="center", fontsize=8)
