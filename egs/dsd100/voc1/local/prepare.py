"""Draw items of DSD100: ``prepare.py CORPUS DATA_DIR PARTS ITEMS SEED``.

An item is :data:`SECONDS` of a stem or mixture, anywhere in the song where it is not silent. The items of a category
come from different songs as long as there are any; they are ``segments`` of the corpus's files, and stage 2 cuts them.
"""

import random
import sys
from pathlib import Path

from evagan_plugin.data.corpus import SILENCE_DB, draw_excerpt, find_files, safe_name
from evagan_plugin.data.kaldi import DataDir, Segment
from evagan_plugin.errors import EvaganError, UsageError, one_line_errors
from evagan_plugin.utils.progress import track

STEMS = ("bass", "drums", "vocals", "other")
CATEGORIES = (*STEMS, "mixture")
SECONDS = 5.0
ORIGIN = (
    "DSD100 has Mixtures/{Dev,Test}/SONG/mixture.wav and Sources/{Dev,Test}/SONG/{bass,drums,vocals,other}.wav; "
    "DSD100.zip is linked from https://sigsep.github.io/datasets/dsd100.html"
)


def find_recordings(corpus: Path, parts: list[str], category: str) -> list[Path]:
    """Return a category's file of each song (raises :class:`UsageError` for a part without any)."""
    tree = "Mixtures" if category == "mixture" else "Sources"
    return [path for part in parts for path in find_files(corpus / tree / part, f"*/{category}.wav", ORIGIN)]


def draw_start(path: Path, generator: random.Random) -> float | None:
    """Return where an item begins (s), as ``draw_excerpt`` (raises :class:`EvaganError` if the file is damaged)."""
    try:
        return draw_excerpt(path, SECONDS, generator)
    except EvaganError as error:
        raise EvaganError(f"{error}; unpack DSD100.zip again") from error


def draw_items(data: DataDir, recordings: list[Path], category: str, count: int, seed: int) -> None:
    """Add the items of a category to ``data``.

    Raises:
        EvaganError: If all songs are silent, or too short.
    """
    generator = random.Random(f"{seed} {category}")
    songs = generator.sample(recordings, len(recordings))
    items: list[tuple[Path, float]] = []
    while len(items) < count:
        before = len(items)
        for song in songs:
            if len(items) < count and (start := draw_start(song, generator)) is not None:
                items.append((song, start))
        if len(items) == before:
            where = f"{len(recordings)} songs, the first {recordings[0]}"
            raise EvaganError(f"{category}: no {SECONDS:g} s above {SILENCE_DB:g} dB in {where}")
    for number, (path, start) in enumerate(items, 1):
        song = safe_name(path.parent.name)
        utterance, recording = f"{category}-{number:02}", f"{song}-{category}"
        data.wav[recording] = str(path)
        data.segments[utterance] = Segment(recording, start, round(start + SECONDS, 3))
        data.utt2spk[utterance] = song
        data.category[utterance] = category


def main(corpus: Path, data_dir: Path, parts: list[str], items: int, seed: int) -> None:
    """Write ``test``."""
    if not parts or not items:
        raise UsageError("--parts and --items: something to draw is needed")
    found = {category: find_recordings(corpus, parts, category) for category in CATEGORIES}
    data = DataDir(wav={})
    for category, recordings in track(found.items(), "draw", len(found)):
        draw_items(data, recordings, category, items, seed)
    data.write(data_dir / "test")


if __name__ == "__main__":
    with one_line_errors("prepare.py"):
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(), *map(int, sys.argv[4:6]))
