"""One item measured: a row of ``curation.tsv``."""

import base64
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from evagan_plugin.audio.bandwidth import measure_band
from evagan_plugin.audio.fingerprint import fingerprint
from evagan_plugin.audio.io import downmix
from evagan_plugin.audio.loudness import loudness_of
from evagan_plugin.audio.measures import QUIETEST_DB, measure
from evagan_plugin.audio.speech import speech_share
from evagan_plugin.data.curation.items import Item, read_stretch
from evagan_plugin.errors import EvaganError, library_errors

BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24}
"""Of libsndfile's sample formats that are integers."""
DIGITS = {"bandwidth": 0, "edge_db": 1, "loudness": 2, "noise_floor": 2, "duration": 6}
"""Of numbers with others than 5 digits after the point."""


@dataclass(frozen=True)
class Row:
    """What is known of an item; the columns of ``curation.tsv``, in NeMo SDP's words where it has them."""

    utt_id: str
    audio_filepath: str
    offset: float
    """Seconds."""
    duration: float | None = None
    """Seconds."""
    speaker: str | None = None
    lang: str | None = None
    category: str | None = None
    sample_rate: int | None = None
    num_channels: int | None = None
    bandwidth: float | None = None
    """Hz: the highest frequency with sound."""
    cut_by: str | None = None
    """``edge``, ``images`` or nothing: :class:`~evagan_plugin.audio.bandwidth.Band`."""
    edge_db: float | None = None
    peak: float | None = None
    clipping: float | None = None
    silence: float | None = None
    speech: float | None = None
    loudness: float | None = None
    """LUFS."""
    noise_floor: float | None = None
    """dBFS."""
    dc_offset: float | None = None
    channel_correlation: float | None = None
    duplicate_of: str | None = None
    kept: str = "yes"
    reason: str | None = None
    """Why it is left out."""
    left_out_by: tuple[str, ...] = ()
    """What the rules that leave it out are about: columns, ``duplicate``. In ``reason`` for people; no column."""

    def values(self) -> dict[str, Any]:
        """Return the columns and what is in them."""
        return {column: getattr(self, column) for column in COLUMNS}


COLUMNS = [column.name for column in fields(Row) if column.name != "left_out_by"]


@dataclass(frozen=True)
class Task:
    """An item and which of the optional measures are made."""

    item: Item
    speech: bool
    fingerprint: bool


def measure_item(task: Task) -> dict:
    """Return the line of an item for the journal: its row and fingerprint, or why it cannot be read."""
    item = task.item
    line = {"utt_id": item.utt_id, "row": None, "fingerprint": None, "error": None}
    try:
        with library_errors(item.source):
            row, values = _measured(task)
    except EvaganError as error:
        return line | {"error": str(error)}
    packed = None if values is None else base64.b64encode(values.astype("<u4").tobytes()).decode()
    return line | {"row": row.values(), "fingerprint": packed}


def crashed_line(task: Task, reason: str) -> dict:
    """Return the line of an item on which native code crashed."""
    error = f"{task.item.source}: the process that measured it crashed: {reason}"
    return {"utt_id": task.item.utt_id, "row": None, "fingerprint": None, "error": error}


def unpacked(packed: str) -> np.ndarray:
    """Return a fingerprint as it was before it went into a line."""
    return np.frombuffer(base64.b64decode(packed), "<u4").astype(np.uint32)


def _measured(task: Task) -> tuple[Row, np.ndarray | None]:
    item = task.item
    wav, sample_rate, subtype = read_stretch(item)
    mono = downmix(wav)
    band = measure_band(wav, sample_rate, BITS.get(subtype))
    values = {
        "duration": wav.shape[1] / sample_rate,
        "bandwidth": band.bandwidth,
        "edge_db": band.edge_db,
        "speech": speech_share(mono, sample_rate) if task.speech else None,
        "loudness": max(loudness_of(wav.T, sample_rate), QUIETEST_DB),
        **asdict(measure(wav, sample_rate)),
    }
    rounded = {
        name: None if value is None else round(float(value), DIGITS.get(name, 5)) for name, value in values.items()
    }
    row = Row(
        item.utt_id,
        item.source,
        item.start,
        sample_rate=sample_rate,
        num_channels=len(wav),
        cut_by=band.cut_by,
        **item.passed,
        **rounded,
    )
    return row, fingerprint(mono, sample_rate) if task.fingerprint else None
