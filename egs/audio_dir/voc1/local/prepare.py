"""Write data directories of a folder of audio: ``prepare.py AUDIO_DIR DATA_DIR DEV_PERCENT TEST_PERCENT``.

With a ``manifest.tsv`` in the folder (tab-separated, columns ``path`` and optionally ``utt_id speaker source split
category text``) its files are used, and its split where that says train, dev and test. Where it does not, but names
speakers or sources, the hash of a speaker decides the set of all that is theirs. Without either, the hash of a file's
path under the folder decides. What has a set keeps it when other files or speakers come or go, but for the one that a
test or development set takes that would be empty. Without a manifest the speaker is the folder that a file lies in.
"""

import csv
import io
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from evagan_plugin.audio.io import AUDIO_SUFFIXES
from evagan_plugin.data.corpus import safe_name, stable_hash
from evagan_plugin.data.kaldi import DataDir
from evagan_plugin.data.utterances import files_below
from evagan_plugin.errors import UsageError, one_line_errors
from evagan_plugin.utils.files import read_text

MANIFEST = "manifest.tsv"
SETS = ("train", "dev", "test")
SET_NAMES = {"train": "train", "dev": "dev", "valid": "dev", "validation": "dev", "test": "test", "eval": "test"}


@dataclass(frozen=True)
class AudioFile:
    """A file, by its path under the folder, and what the manifest says of it."""

    path: Path
    utterance: str = ""
    speaker: str = ""
    split: str = ""
    category: str = ""
    text: str = ""


def find_files(folder: Path) -> list[AudioFile]:
    """Return the files of the manifest, or all audio files, as ``files_below`` finds them.

    Raises:
        UsageError: If there is none, or the manifest has no column ``path``.
    """
    if (folder / MANIFEST).is_file():
        return read_manifest(folder / MANIFEST)
    if not folder.is_dir():
        raise UsageError(f"{folder}: is not a folder")
    files = [AudioFile(path.relative_to(folder)) for path in files_below(folder)]
    if not files:
        raise UsageError(f"{folder}: no audio in it ({', '.join(sorted(AUDIO_SUFFIXES))})")
    return files


def read_manifest(manifest: Path) -> list[AudioFile]:
    """Return the files that a manifest lists."""
    rows = list(csv.DictReader(io.StringIO(read_text(manifest)), delimiter="\t", quoting=csv.QUOTE_NONE))
    if not rows or not rows[0].get("path"):
        raise UsageError(f"{manifest}: no rows with a column 'path' (tab-separated)")
    return [
        AudioFile(
            Path(row["path"]),
            utterance=row.get("utt_id") or "",
            speaker=row.get("speaker") or row.get("source") or "",
            split=(row.get("split") or "").lower(),
            category=" ".join((row.get("category") or "").split()),
            text=" ".join((row.get("text") or "").split()),
        )
        for row in rows
    ]


def name_files(files: list[AudioFile]) -> dict[str, AudioFile]:
    """Return the files by utterance id: the manifest's, else the path without what may not stand in a file name.

    Paths that become equal by that get a part of their hash behind them.
    """
    plain = [safe_name(file.utterance or str(file.path.with_suffix(""))) for file in files]
    counts = Counter(plain)
    named: dict[str, AudioFile] = {}
    for name, file in zip(plain, files, strict=True):
        utterance = name if counts[name] == 1 else f"{name}-{stable_hash(file.path.as_posix()):x}"[: len(name) + 9]
        if utterance in named:
            raise UsageError(f"{MANIFEST}: {named[utterance].path} and {file.path} are one file or one utterance id")
        named[utterance] = file
    return named


def split_files(named: dict[str, AudioFile], dev_percent: int, test_percent: int) -> dict[str, list[str]]:
    """Return the utterance ids of each set.

    Raises:
        UsageError: If a set would be empty.
    """
    splits = {utterance: SET_NAMES.get(file.split, "") for utterance, file in named.items()}
    # Without a name for who is heard, each file is on its own.
    groups = {utterance: file.speaker or file.path.as_posix() for utterance, file in named.items()}
    by_speaker = any(file.speaker for file in named.values())
    if set(splits.values()) != set(SETS):
        if any(file.split for file in named.values()):
            found = ", ".join(sorted({file.split or "(empty)" for file in named.values()}))
            what = "split by hash of the speaker" if by_speaker else "split by hash"
            sys.stderr.write(f"prepare.py: the manifest's splits are not train, dev and test but {found}: {what}\n")
        set_of = split_by_hash(set(groups.values()), dev_percent, test_percent)
        splits = {utterance: set_of[group] for utterance, group in groups.items()}
    sets = {name: [utterance for utterance in named if splits[utterance] == name] for name in SETS}
    for name, utterances in sets.items():
        if not utterances:
            few = f"{len(set(groups.values()))} speakers" if by_speaker else f"{len(named)} files"
            raise UsageError(f"no files for the set '{name}': {few} are too few to split")
    return sets


def split_by_hash(groups: set[str], dev_percent: int, test_percent: int) -> dict[str, str]:
    """Return the set of each file or speaker; of a few, one at least is in the test and one in the development set."""
    percent = {group: stable_hash(group) * 100 / 2**64 for group in groups}
    order = sorted(groups, key=percent.__getitem__)
    test_end = max(1, sum(value < test_percent for value in percent.values()))
    dev_end = max(test_end + 1, sum(value < test_percent + dev_percent for value in percent.values()))
    bounds = {"test": order[:test_end], "dev": order[test_end:dev_end], "train": order[dev_end:]}
    return {group: name for name, members in bounds.items() for group in members}


def main(folder: Path, data_dir: Path, dev_percent: int, test_percent: int) -> None:
    """Write ``train``, ``dev`` and ``test``."""
    named = name_files(find_files(folder))
    has_categories = any(file.category for file in named.values())
    for name, utterances in split_files(named, dev_percent, test_percent).items():
        data = DataDir(wav={utterance: str(folder / named[utterance].path) for utterance in utterances})
        for utterance in utterances:
            file = named[utterance]
            data.utt2spk[utterance] = safe_name(file.speaker or file.path.parent.name or "unknown")
            if file.text:
                data.text[utterance] = file.text
            if has_categories:
                data.category[utterance] = file.category or "unknown"
        data.write(data_dir / name)


if __name__ == "__main__":
    with one_line_errors("prepare.py"):
        main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
