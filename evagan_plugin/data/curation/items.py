"""What is curated: the items of a data directory, and where long recordings are cut into them."""

import itertools
import math
from dataclasses import dataclass, field, replace

import numpy as np

from evagan_plugin.audio.archive import source_state
from evagan_plugin.audio.measures import frame_levels, frame_samples
from evagan_plugin.audio.recording import Recording, open_recording
from evagan_plugin.config.curation import CurationRules
from evagan_plugin.data.kaldi import DataDir, Segment
from evagan_plugin.errors import EvaganError

PAUSE_SECONDS = 0.2
"""A cut goes through the middle of the quietest stretch of this length."""
STEP_SECONDS = 0.01
"""A frame whose level is looked at: about this long, a whole number of samples."""
BLOCK_SECONDS = 30
NAMES = {"speaker": "utt2spk", "lang": "lang", "category": "batch_category"}
"""Columns that pass through, and their tables in :class:`DataDir`; without ``utt2category``, ``utt2kind`` is the
category."""


@dataclass(frozen=True)
class Item:
    """A stretch of an audio file that is measured, and kept or left out."""

    utt_id: str
    source: str
    """Audio file, or an entry of a Kaldi archive."""
    start: float = 0.0
    """Seconds."""
    end: float = -1.0
    """Seconds; -1 is the end of the file."""
    utterance: str = ""
    """Id in the source directory; ``utt_id`` itself unless this is a part of it."""
    state: str = ""
    """Size and time of change of the source: shows whether it must be measured again."""
    passed: dict[str, str] = field(default_factory=dict)
    """Values of :data:`NAMES` that the source has."""

    @property
    def whole(self) -> bool:
        """Whether it is a whole utterance of the source, not a part that was cut."""
        return self.utt_id == self.utterance

    def part(self, start: float, end: float) -> "Item":
        """Return a stretch of it (seconds of the file), named by its place in hundredths of seconds."""
        name = f"{self.utt_id}-{round(100 * start):07d}-{round(100 * end):07d}"
        return replace(self, utt_id=name, start=start, end=end)


def read_items(data: DataDir) -> list[Item]:
    """Return the utterances of a data directory as items, before any is cut, sorted by id."""
    tables = {column: getattr(data, name) for column, name in NAMES.items()}
    tables["category"] = tables["category"] or data.category
    items = []
    for utterance in data.utterances:
        segment = data.segments.get(utterance)
        place = data.wav[segment.recording if segment else utterance]
        start, end = (segment.start, segment.end) if segment else (0.0, -1.0)
        passed = {column: table[utterance] for column, table in tables.items() if table}
        items.append(Item(utterance, place, start, end, utterance, source_state(place), passed))
    return items


def read_stretch(item: Item) -> tuple[np.ndarray, int, str]:
    """Return samples ``(channels, T)``, rate and sample format of an item; only its own stretch is read.

    Raises:
        EvaganError: If the file is unreadable or truncated, or the stretch is not in it.
    """
    with open_recording(item.source) as recording:
        wav = recording.channels(*_bounds(item, recording))
        if wav.shape[1] == 0:
            raise EvaganError(f"{item.source}: no samples in it")
        if not np.isfinite(wav).all():
            raise EvaganError(f"{item.source}: samples are NaN or infinite")
        return wav, recording.sample_rate, recording.audio.subtype


def cut(item: Item, rules: CurationRules) -> list[Item]:
    """Return an item, or the parts of one that is longer than ``longest_cut``, cut at its quietest places.

    Raises:
        EvaganError: If it cannot be read.
    """
    with open_recording(item.source) as recording:
        rate = recording.sample_rate
        first, last = _bounds(item, recording)
        if (last - first) / rate <= rules.longest_cut:
            return [item]
        step = frame_samples(rate, STEP_SECONDS)
        blocks = recording.part(first, last).blocks(step * round(BLOCK_SECONDS / STEP_SECONDS))
        # A whole number of frames; what is shorter than one has no level.
        levels = [frame_levels(block, rate, STEP_SECONDS) for block in blocks if block.shape[1] >= step]
    places = cut_places(np.concatenate(levels), rules.shortest_cut, rules.longest_cut, step / rate)
    bounds = [round(first / rate + place, 6) for place in places]
    bounds = [item.start, *bounds, item.end if item.end != -1 else round(last / rate, 6)]
    return [item.part(start, end) for start, end in itertools.pairwise(bounds)]


def cut_places(levels: np.ndarray, shortest: float, longest: float, step: float = STEP_SECONDS) -> list[float]:
    """Return where to cut a stretch (seconds), given the level (dB) of each of its frames of ``step`` seconds.

    Every part is ``shortest`` to ``longest`` seconds long, and each cut lies in the quietest 0.2 s that allow it.
    """
    width = round(PAUSE_SECONDS / step)
    means = np.convolve(
        np.pad(levels, (width // 2, width - 1 - width // 2), mode="edge"), np.ones(width) / width, "valid"
    )
    # Rounded first: 3 / 0.01 lies a hair beside 300.
    least, most = math.ceil(round(shortest / step, 6)), math.floor(round(longest / step, 6))
    places, start = [], 0
    while len(levels) - start > most:
        first, last = start + least, min(start + most, len(levels) - least)
        start = first + int(np.argmin(means[first : last + 1]))
        places.append(start * step)
    return places


def _bounds(item: Item, recording: Recording) -> tuple[int, int]:
    """Return first sample of an item and the one after its last."""
    try:
        return Segment("", item.start, item.end).bounds(len(recording), recording.sample_rate)
    except EvaganError as error:
        raise EvaganError(f"{item.source}: {error}") from None
