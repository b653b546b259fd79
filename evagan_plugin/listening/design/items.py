"""The audio of a test's items and attention checks, and the report of what was done to its levels."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from evagan_plugin.data.names import REFERENCE
from evagan_plugin.errors import UsageError
from evagan_plugin.listening.design import samples
from evagan_plugin.listening.design.design import ANCHOR, Check, ListeningItem, audio_path, new_id
from evagan_plugin.listening.design.options import ListeningOptions
from evagan_plugin.utils.files import atomic_path, read_text

CHECK_SAMPLES = 6
CHECK_BEEPS = (3, 1, 4, 2, 3, 2)
"""Right answers of the attention checks; 5 is not among them, because who rates everything 5 would pass."""
LEVELS_FILE = "loudness.tsv"


class Level(NamedTuple):
    """A row of the report of levels."""

    item: str
    sample: str
    """Name of the system."""
    lufs: float
    """Integrated loudness before; minus infinity for silence."""
    gain_db: float


def make_item(
    folder: Path,
    utterance: str,
    reference: Path,
    sources: Mapping[str, Path],
    rate: int,
    options: ListeningOptions,
    training: bool = False,
) -> tuple[ListeningItem, list[Level]]:
    """Write all audio of one item; return it and its rows of the report of levels.

    Args:
        folder: The test's.
        utterance: Id of the item.
        reference: Its file.
        sources: Its file of each system.
        rate: Sample rate of the test (Hz).
        options: How to make the test.
        training: Whether it is for practice only.

    Raises:
        UsageError: If the reference is silent, or a file is not of its length.
    """
    whole = samples.load_mono(reference, rate)
    begin, end = samples.choose_passage(whole, rate, options.max_seconds)
    wavs = {REFERENCE: whole[begin:end]}
    for name, path in sources.items():
        wavs[name] = samples.load_passage(path, rate, begin / rate, end - begin, len(whole) / rate)
    wavs = {name: samples.fade_edges(wav, rate) for name, wav in wavs.items()}
    if options.anchor:
        wavs[ANCHOR] = samples.low_anchor(wavs[REFERENCE], rate)
    levelled = samples.level(wavs, rate, options.loudness if options.align_loudness else None)
    if math.isinf(levelled.loudness[REFERENCE]):
        raise UsageError(f"{reference}: silent (below the gate of BS.1770): leave the utterance out")
    open_reference = new_id()
    samples.write_sample(audio_path(folder, open_reference), levelled.wavs[REFERENCE], rate)
    audio = {}
    for name in [*sources, *([REFERENCE] if options.hidden_reference else []), *([ANCHOR] if options.anchor else [])]:
        audio[name] = new_id()
        samples.write_sample(audio_path(folder, audio[name]), levelled.wavs[name], rate)
    item = ListeningItem(
        utterance, options.categories.get(utterance, "all"), begin / rate, (end - begin) / rate, len(whole) / rate,
        levelled.lowered_db, open_reference, audio, training,
    )  # fmt: skip
    return item, [Level(utterance, name, levelled.loudness[name], levelled.gain_db[name]) for name in wavs]


def make_checks(
    folder: Path, items: Sequence[ListeningItem], rate: int, options: ListeningOptions
) -> tuple[Check, ...]:
    """Write the attention checks, on the longest items.

    Raises:
        UsageError: If no item is long enough.
    """
    if not options.checks:
        return ()
    longest = sorted((item for item in items if not item.training), key=lambda item: -item.seconds)
    if not longest or samples.most_beeps(longest[0].seconds) < 1:
        raise UsageError("every item is too short for an attention check (beeps in its second half): use --checks 0")
    checks = []
    for number in range(max(CHECK_SAMPLES, options.checks)):
        item = longest[number % len(longest)]
        beeps = min(CHECK_BEEPS[number % len(CHECK_BEEPS)], samples.most_beeps(item.seconds))
        if beeps < 1:
            item, beeps = longest[0], 1
        check = Check(item.id, new_id(), beeps)
        wav = samples.load_mono(audio_path(folder, item.reference), rate)
        samples.write_sample(audio_path(folder, check.audio), samples.with_beeps(wav, rate, beeps), rate)
        checks.append(check)
    return tuple(checks)


def write_levels(folder: Path, rows: Iterable[Level]) -> None:
    """Write the report of levels, or extend it."""
    path = folder / LEVELS_FILE
    kept = read_text(path) if path.exists() else "item\tsample\tlufs_before\tgain_db\n"
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        stream.write(kept)
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerows((row.item, row.sample, f"{row.lufs:.2f}", f"{row.gain_db:.2f}") for row in rows)
