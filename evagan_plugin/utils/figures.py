"""Figures of matplotlib: made without a window, named safely, written whole. Imports nothing heavy by itself."""

from pathlib import Path
from typing import TYPE_CHECKING

from evagan_plugin.errors import UsageError, require
from evagan_plugin.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME_LENGTH = 40


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure without a window (Agg), so many inches wide and high.

    Raises:
        EvaganError: If matplotlib is missing.
    """
    require("matplotlib", "score", "listen", "espnet")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: "Figure", path: str | Path, dpi: int = 130) -> None:
    """Write a figure as PNG, PDF or SVG, by the suffix of ``path``, whole or not at all.

    Raises:
        UsageError: If matplotlib knows no format of that suffix.
    """
    path = Path(path)
    known = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise UsageError(f"{path}: pictures are written as {', '.join(sorted(known))}, not as '{path.suffix}'")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)


def caption(name: str) -> str:
    """Return a name for the text of a figure: shortened, and safe from matplotlib, which reads ``$`` as mathematics."""
    short = name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH // 2]}…{name[-NAME_LENGTH // 2 + 1 :]}"
    return short.replace("$", r"\$")
