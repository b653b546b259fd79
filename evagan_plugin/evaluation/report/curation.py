"""What ``evagan curate`` found, as one HTML page: histograms, reasons, and the extremes to hear."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evagan_plugin.audio.io import downmix
from evagan_plugin.data.curation.curate import Curation
from evagan_plugin.data.curation.items import Item, read_stretch
from evagan_plugin.data.curation.measuring import Row
from evagan_plugin.errors import EvaganError, require
from evagan_plugin.evaluation.report.embedding import (
    PAGES,
    SHARED_PAGES,
    Picture,
    flac_uri,
    svg_uri,
    template,
    text_of,
)
from evagan_plugin.utils.figures import new_figure
from evagan_plugin.utils.files import write_text

REPORT = "report.html"
EXTREMES = 2
"""Items to hear at each end of a measure."""
LONGEST_SECONDS = 5.0
"""So much of each."""
BINS = 40
MEASURES = {
    "duration": "Duration (s)",
    "bandwidth": "Bandwidth (Hz)",
    "loudness": "Loudness (LUFS)",
    "noise_floor": "Noise floor (dBFS)",
    "silence": "Share of silence",
    "speech": "Share of speech",
    "peak": "Peak (full scale 1.0)",
    "clipping": "Share of clipped samples",
    "dc_offset": "DC offset (full scale 1.0)",
    "channel_correlation": "Least correlation of channels",
}
HEARD = ("bandwidth", "loudness", "noise_floor", "silence", "speech", "clipping")
"""Measures whose extremes can be heard."""


@dataclass(frozen=True)
class Sound:
    """An item at one end of a measure."""

    row: Row
    value: str
    audio: str
    """``data:`` URI of its beginning."""


def check_report() -> None:
    """Raise EvaganError if a package that the report needs is missing."""
    require("jinja2", "curate", "score")
    require("matplotlib", "curate", "score")


def write_report(curation: Curation) -> Path:
    """Write ``report.html`` beside the table and return its path."""
    path = curation.out / REPORT
    write_text(path, render(curation))
    return path


def render(curation: Curation) -> str:
    """Return the page."""
    rows = curation.rows
    return template("curation.html").render(
        style=text_of(SHARED_PAGES / "base.css", PAGES / "report.css"),
        headline=next(curation.lines()),
        notes=curation.notes,
        reasons=curation.left_out(),
        groups={column: _hours(rows, column) for column in ("category", "lang", "cut_by")},
        charts=[_chart(rows, column) for column in MEASURES if any(getattr(row, column) is not None for row in rows)],
        extremes={MEASURES[column]: list(_extremes(rows, column)) for column in HEARD},
        seconds=LONGEST_SECONDS,
    )


def _hours(rows: Sequence[Row], column: str) -> list[tuple[str, float, float]]:
    """Return the hours kept and measured of each value of a column; none where all have none."""
    measured, kept = Counter(), Counter()
    for row in rows:
        name = getattr(row, column) or "none"
        measured[name] += row.duration / 3600
        kept[name] += row.duration / 3600 * (row.kept == "yes")
    return [(name, kept[name], measured[name]) for name in sorted(measured)] if set(measured) != {"none"} else []


def _chart(rows: Sequence[Row], column: str) -> Picture:
    """Return the histogram of a measure: kept, and left out on top."""
    parts = [
        [value for row in rows if row.kept == kept and (value := getattr(row, column)) is not None]
        for kept in ("yes", "no")
    ]
    figure = new_figure(4.6, 2.6)
    panel = figure.subplots()
    panel.hist(parts, BINS, stacked=True, color=["#3457d5", "#d58a34"], label=["kept", "left out"])
    panel.set_xlabel(MEASURES[column])
    panel.set_ylabel("items")
    panel.legend(fontsize=8)
    values = sorted(parts[0] + parts[1])
    words = f"{MEASURES[column]}: from {values[0]:g} to {values[-1]:g}, median {values[len(values) // 2]:g}."
    return Picture(svg_uri(figure), words)


def _extremes(rows: Sequence[Row], column: str) -> Iterator[Sound]:
    """Yield the items with the least and the largest values, those of equal value by id."""
    known = sorted((getattr(row, column), row.utt_id, row) for row in rows if getattr(row, column) is not None)
    if not known or known[0][0] == known[-1][0]:
        return
    chosen = known[:EXTREMES] + known[max(EXTREMES, len(known) - EXTREMES) :]
    for value, utt_id, row in chosen:
        end = row.offset + min(row.duration, LONGEST_SECONDS)
        try:
            wav, sample_rate, _ = read_stretch(Item(utt_id, row.audio_filepath, row.offset, end))
        except EvaganError:  # it was readable when it was measured; the table still stands
            continue
        yield Sound(row, f"{value:g}", flac_uri(downmix(wav).clip(-1, 1), sample_rate))
