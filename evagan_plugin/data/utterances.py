"""One reading of what a user points at: the utterances of a file, a folder or a table. Needs no torch."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from evagan_plugin.audio.archive import ARCHIVED, archive_of, holds_audio
from evagan_plugin.audio.features import FEATURE_SUFFIXES, Layout
from evagan_plugin.audio.io import AUDIO_SUFFIXES
from evagan_plugin.data.kaldi import check_relative, read_scp, read_wav_scp, safe_key
from evagan_plugin.errors import EvaganError, UsageError

AUDIO_TABLE, FEATURE_TABLE = "wav.scp", "feats.scp"


@dataclass(frozen=True)
class Utterance:
    """Audio or features of one utterance, before it is read."""

    utt_id: str
    source: str
    """Audio file, feature file, ``FILE.ark:OFFSET``, or a :class:`~evagan_plugin.audio.pipe.Pipe`."""
    layout: Layout | None = None
    """Which way round its features lie; None if it is audio."""


def find_utterances(source: str | Path, features: bool = False, pipes: bool = False) -> list[Utterance]:
    """List the utterances of a directory, a table or a file.

    A directory with a ``wav.scp`` (with ``features``: or else a ``feats.scp``) is read by that table. Any other is
    searched for audio (with ``features``: and for ``.npy`` and ``.pt``) as :func:`files_below` does; an utterance's
    id is the name of its file without the suffix, white space in it replaced by ``_``, and where that is not unique,
    the path below the directory with ``-`` for ``/``.

    Args:
        source: The directory, a ``.scp`` table, or one file.
        features: Whether features count, too.
        pipes: Whether a ``wav.scp`` may have pipes, which are run when the audio is read.

    Raises:
        UsageError: If there is nothing, two files have one id, or a table is malformed or has ``segments`` beside it.
    """
    path = Path(source)
    if path.is_dir():
        tables = (AUDIO_TABLE, FEATURE_TABLE) if features else (AUDIO_TABLE,)
        table = next((path / name for name in tables if (path / name).is_file()), None)
        return _of_table(table, features, pipes) if table else _of_directory(path, features)
    if path.suffix == ".scp":
        return _of_table(path, features, pipes)
    if not archive_of(path).is_file():
        raise UsageError(f"there is no file or directory {path}")
    return [_utterance(safe_key(path.stem), str(path), "bands_first", features)]


def files_below(folder: str | Path, suffixes: Iterable[str] = AUDIO_SUFFIXES) -> list[Path]:
    """Return the files with one of the suffixes (lower case) in a directory and all directories below it, sorted.

    Symbolic links are followed, and a directory that several names lead to is read once. What begins with a dot is
    passed over: hidden files and directories, and the ``._x.wav`` that macOS leaves beside ``x.wav``.

    Raises:
        EvaganError: If a directory cannot be read.
    """

    def stop(error: OSError) -> None:
        raise EvaganError(f"{error.filename}: cannot be read: {error.strerror}") from error

    found: list[Path] = []
    seen: set[str] = set()
    # Links wait until all real directories are read, so that of several names it is the real one that counts.
    waiting = [str(folder)]
    while waiting:
        for directory, children, names in os.walk(waiting.pop(0), onerror=stop):
            real = os.path.realpath(directory)
            children[:] = [] if real in seen else sorted(name for name in children if not is_hidden(name))
            waiting += [path for name in children if os.path.islink(path := os.path.join(directory, name))]
            visible = [] if real in seen else [name for name in names if not is_hidden(name)]
            found += [Path(directory, name) for name in visible if os.path.splitext(name)[1].lower() in suffixes]
            seen.add(real)
    return sorted(found)


def is_hidden(path: str | Path) -> bool:
    """Whether a file, or a directory that it lies in, begins with a dot, as macOS's ``._x.wav`` does."""
    return any(part.startswith(".") for part in Path(path).parts)


def _of_table(path: Path, features: bool, pipes: bool) -> list[Utterance]:
    has_features = features and path.name == FEATURE_TABLE
    read = read_wav_scp if path.name == AUDIO_TABLE else read_scp
    table = read(path, pipes and not has_features)
    check_relative(path, table.values())
    if has_features:
        return [Utterance(utt_id, entry, "frames_first") for utt_id, entry in table.items()]
    return [_utterance(utt_id, entry, "frames_first", features) for utt_id, entry in table.items()]


def _of_directory(path: Path, features: bool) -> list[Utterance]:
    suffixes = AUDIO_SUFFIXES | FEATURE_SUFFIXES if features else AUDIO_SUFFIXES
    files = files_below(path, suffixes)
    if not files:
        what = "nothing to synthesize: no audio or features" if features else "no audio files"
        raise UsageError(f"{path}: {what} in it or below ({', '.join(sorted(suffixes))})")
    names = [safe_key(file.stem) for file in files]
    counts = Counter(names)
    found: dict[str, Utterance] = {}
    for name, file in zip(names, files, strict=True):
        utt_id = name if counts[name] == 1 else safe_key(str(file.relative_to(path).with_suffix("")))
        if utt_id in found:
            raise UsageError(f"{path}: {found[utt_id].source} and {file} have one utterance id, '{utt_id}'")
        found[utt_id] = _utterance(utt_id, str(file), "bands_first", features)
    return list(found.values())


def _utterance(utt_id: str, source: str, layout: Layout, features: bool) -> Utterance:
    """Return an utterance whose file says by its name whether it is audio or features of a certain layout."""
    archived = ARCHIVED.search(source) is not None
    has_features = not holds_audio(source) if archived else Path(source).suffix.lower() in FEATURE_SUFFIXES
    if has_features and not features:
        raise UsageError(f"'{utt_id}' is {source}: audio is needed, not features; evagan synth makes audio of them")
    return Utterance(utt_id, source, layout if has_features else None)
