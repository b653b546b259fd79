"""Sources of a mix, as data directories: recordings of a folder to train on, and excerpts of others to judge by."""

import random
import sys
from collections.abc import Mapping
from pathlib import Path

from evagan_plugin.audio.io import read_header
from evagan_plugin.data.corpus import draw_excerpt, safe_name, stable_hash
from evagan_plugin.data.kaldi import DataDir, Segment
from evagan_plugin.data.utterances import find_utterances
from evagan_plugin.errors import EvaganError, UsageError

SETS = ("train", "dev", "test")
EXCERPT_SECONDS = 10.0
MOST_HELD_OUT = 1 / 10
"""Part of the recordings that the development or the test set may take of a small folder; each takes one at least."""

Sets = dict[str, DataDir]
"""A source: a data directory by the name of its set."""


def folder_source(name: str, folder: Path, held_out: int, seed: int) -> Sets:
    """Return the recordings of a folder as sets.

    Of each recording that is held out, drawn by the hash of its id, dev or test has one excerpt, and nothing of it is
    in the training set. An excerpt of what is shorter has as many whole seconds as there are; what lasts less than
    one, is silent or cannot be read stays in the training set, where curation sorts it out.

    Args:
        name: Of the source; comes before the ids, and is their category.
        folder: Searched with its sub-folders, whose names count as speakers.
        held_out: Recordings for dev, and as many for test.
        seed: Of the draw.

    Raises:
        UsageError: If there is no audio, or too little to hold anything out.
    """
    recordings = {f"{name}_{one.utt_id}": Path(one.source) for one in find_utterances(folder)}
    count = min(held_out, max(int(len(recordings) * MOST_HELD_OUT), 1))
    if len(recordings) < 3:
        raise UsageError(f"{folder}: {len(recordings)} recordings are too few for three sets")
    sets: Sets = {kind: DataDir(wav={}) for kind in SETS}
    waiting = sorted(recordings, key=lambda recording: stable_hash(f"{seed} {recording}"))
    for recording in waiting:
        kind = min(("dev", "test"), key=lambda kind: len(sets[kind].wav))
        if len(sets[kind].wav) == count:
            break
        if excerpt := _excerpt(recording, recordings[recording], seed):
            sets[kind].segments[recording] = excerpt
            _add(sets[kind], name, recording, recordings[recording])
    for kind in ("dev", "test"):
        if not sets[kind].wav:
            raise UsageError(f"{folder}: no recording for the set '{kind}': all that are left are silent or unreadable")
    for recording in recordings.keys() - sets["dev"].wav.keys() - sets["test"].wav.keys():
        _add(sets["train"], name, recording, recordings[recording])
    if not sets["train"].wav:
        raise UsageError(f"{folder}: no recording is left to train on")
    return sets


def _add(data: DataDir, name: str, recording: str, path: Path) -> None:
    data.wav[recording] = str(path)
    data.utt2spk[recording] = f"{name}_{safe_name(path.parent.name)}"
    data.category[recording] = name


def _excerpt(recording: str, path: Path, seed: int) -> Segment | None:
    """Return a stretch of a recording that is not silent, or None if there is none or it cannot be read."""
    try:
        header = read_header(path)
        seconds = min(EXCERPT_SECONDS, header.frames // header.sample_rate)
        start = draw_excerpt(path, seconds, random.Random(f"{seed} {recording}")) if seconds else None
    except EvaganError:
        return None
    return None if start is None else Segment(recording, start, round(start + seconds, 3))


def write_sources(data_dir: Path, sources: Mapping[str, Sets]) -> None:
    """Write ``data_dir/NAME``, the training set of each source, and ``dev`` and ``test`` of all together; say counts.

    Raises:
        EvaganError: If a directory cannot be written.
    """
    for name, sets in sources.items():
        sets["train"].write(data_dir / name)
        counts = ", ".join(f"{len(data.wav)} {kind}" for kind, data in sets.items())
        sys.stderr.write(f"{name}: {counts}\n")
    for kind in ("dev", "test"):
        DataDir.merged([sets[kind] for sets in sources.values()]).write(data_dir / kind)
