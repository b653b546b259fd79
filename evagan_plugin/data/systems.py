"""What is scored: folders and script files of audio, matched by utterance id and checked before any work."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evagan_plugin.audio.io import AUDIO_SUFFIXES, read_header
from evagan_plugin.audio.pipe import Pipe
from evagan_plugin.data.kaldi import safe_key
from evagan_plugin.data.names import REFERENCE
from evagan_plugin.data.utterances import find_utterances
from evagan_plugin.errors import EvaganError, UsageError, some
from evagan_plugin.utils.files import read_text


@dataclass(frozen=True)
class MatchedUtterance:
    """One utterance of the reference and what each system made of it."""

    utt_id: str
    reference: Path | Pipe
    hypotheses: dict[str, Path | Pipe]
    """Audio file by system."""
    category: str | None = None


@dataclass(frozen=True)
class Unmatched:
    """An utterance that only one side has."""

    utt_id: str
    system: str
    reason: str


def read_source(path: str | Path, pipes: bool = False) -> dict[str, Path | Pipe]:
    """Return audio files by utterance id.

    Args:
        path: A directory, a table or an audio file, read as
            :func:`~evagan_plugin.data.utterances.find_utterances` says.
        pipes: Whether a table may have pipes.

    Raises:
        UsageError: If there is no audio, or two files have one id.
    """
    check_sources(path)
    places = {utterance.utt_id: utterance.source for utterance in find_utterances(path, pipes=pipes)}
    return {utt_id: place if isinstance(place, Pipe) else Path(place) for utt_id, place in places.items()}


def check_system_names(names: Iterable[str], taken: Iterable[str] = (REFERENCE,)) -> None:
    """Check that no system has one of the names of the reference (raises :class:`UsageError`)."""
    for name in names:
        if name in taken:
            raise UsageError(f"'{name}' is the name of the reference itself: give the system another, as in NAME=PATH")


def split_name(argument: str) -> tuple[str, str]:
    """Return name and path of a ``NAME=PATH`` argument; no name if it is a path alone, which may hold an ``=``."""
    name, sign, path = argument.partition("=")
    return (name, path) if sign and not Path(argument).exists() else ("", argument)


def parse_systems(arguments: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=PATH`` or ``PATH`` arguments; without a name it is that of the directory or audio file.

    Raises:
        UsageError: If two systems have one name.
    """
    systems: dict[str, str] = {}
    for argument in arguments:
        name, path = split_name(argument)
        if path == argument:
            place = Path(path).absolute()
            name = place.parent.name if place.suffix == ".scp" else place.stem if _is_audio(place) else place.name
        if not name or not path:
            raise UsageError(f"'{argument}' is not PATH or NAME=PATH")
        if name in systems:
            raise UsageError(f"two systems are called '{name}': give them names, as in NAME={path}")
        systems[name] = path
    return systems


def parse_named(option: str, arguments: Sequence[str], expected: str) -> dict[str, str]:
    """Read the ``NAME=VALUE`` arguments of an option that may be given for each system.

    Args:
        option: The option, for errors.
        arguments: What it was given.
        expected: The forms that it takes, for errors.

    Raises:
        UsageError: If one has no name or no value, or a name comes twice.
    """
    values: dict[str, str] = {}
    for argument in arguments:
        name, value = split_name(argument)
        if not name or not value:
            raise UsageError(f"{option} {argument}: {expected} is expected")
        if name in values:
            raise UsageError(f"{option} {argument}: '{name}' has one already, {values[name]}")
        values[name] = value
    return values


def check_sources(*sources: str | Path) -> None:
    """Check that sources are there, before anything slow is imported (raises :class:`UsageError`)."""
    for source in map(Path, sources):
        if not source.is_dir() and not (source.is_file() and source.suffix == ".scp") and not _is_audio(source):
            what = "is no audio by its name" if source.exists() else "does not exist"
            raise UsageError(f"{source} {what}: a directory of audio, a wav.scp or an audio file is needed")


def _is_audio(path: str | Path) -> bool:
    """Whether a path is an audio file by its name."""
    return Path(path).suffix.lower() in AUDIO_SUFFIXES and Path(path).is_file()


def match(
    reference: str | Path,
    systems: Mapping[str, str | Path],
    categories: Mapping[str, str] | None = None,
    pipes: bool = False,
) -> tuple[list[MatchedUtterance], list[Unmatched]]:
    """Match the utterances of the systems with those of the reference, by id; two audio files are of one utterance.

    Args:
        reference: Anything that :func:`read_source` takes.
        systems: The same of each system, by name.
        categories: Category of every utterance, as :func:`read_categories` gives it; None without a manifest.
        pipes: Whether tables may have pipes.

    Returns:
        What can be scored, sorted by id, and what only one side has.

    Raises:
        UsageError: If a source cannot be read, a system shares no utterance with the reference, or an utterance has
            no category: it would count as speech.
    """
    references = read_source(reference, pipes)
    found = {name: read_source(path, pipes) for name, path in systems.items()}
    if _is_audio(reference):
        pairs = {name: files for name, files in found.items() if _is_audio(systems[name])}
        found |= {name: dict(zip(references, files.values(), strict=True)) for name, files in pairs.items()}
    unmatched = []
    for name, files in found.items():
        if not references.keys() & files.keys():
            raise UsageError(
                f"{reference} and {systems[name]} share no utterance: ids such as '{min(references)}' "
                f"and '{min(files)}'"
            )
        unmatched += [Unmatched(key, name, "not in the reference") for key in sorted(files.keys() - references.keys())]
        unmatched += [Unmatched(key, name, "no audio of this system") for key in sorted(references.keys() - files)]
    items = [
        MatchedUtterance(key, references[key], hypotheses, (categories or {}).get(key))
        for key in sorted(references)
        if (hypotheses := {name: files[key] for name, files in found.items() if key in files})
    ]
    lacking = [item.utt_id for item in items if not item.category]
    if categories is not None and lacking:
        raise UsageError(
            f"the manifest has no category for {len(lacking)} of {len(items)} utterances of {reference}: "
            f"{some(lacking)}"
        )
    return items, unmatched


def common_sample_rate(items: Iterable[MatchedUtterance]) -> int:
    """Return the one sample rate (Hz) of all readable files; unreadable ones are left to the scoring.

    Raises:
        UsageError: If there are several, with an example of each; or if no file can be read.
    """
    example: dict[int, str] = {}
    unread = "there are none"
    for item in items:
        for name, file in {"the reference": item.reference, **item.hypotheses}.items():
            try:
                rate = read_header(file).sample_rate
            except EvaganError:
                unread = f"{name}, '{item.utt_id}' is {file}"
                continue
            example.setdefault(rate, f"{name}, '{item.utt_id}'")
    if not example:
        raise UsageError(f"not one of the audio files can be read ({unread})")
    if len(example) > 1:
        rates = "; ".join(f"{rate} Hz ({where})" for rate, where in sorted(example.items()))
        mend = "evagan format DIR_OR_FILE NEW_DIR --sample-rate RATE"
        raise UsageError(f"sample rates differ: {rates}; one rate is needed: {mend}")
    return next(iter(example))


def read_categories(manifest: str | Path) -> dict[str, str]:
    """Read the category of each utterance from a tab-separated table with columns ``utt_id`` and ``category``.

    Raises:
        UsageError: If the file or a column is missing.
    """
    manifest = Path(manifest)
    head, *lines = read_text(manifest).split("\n")
    columns = head.split("\t")
    lacking = {"utt_id", "category"} - set(columns)
    if lacking:
        raise UsageError(f"{manifest}: no column {', '.join(sorted(lacking))} in its first line (tab-separated)")
    key, category = columns.index("utt_id"), columns.index("category")
    rows = [line.split("\t") for line in lines if line.strip()]
    short = next((row for row in rows if len(row) <= max(key, category)), None)
    if short:
        raise UsageError(f"{manifest}: a line has {len(short)} columns, its head has {len(columns)}: {short[0]}")
    return {safe_key(row[key]): row[category] for row in rows}
