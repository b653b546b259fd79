"""The tables of HiFiTTS-2: JSON lines, a line for each utterance (manifest) or for each chapter of an audiobook."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evagan_plugin.errors import UsageError

AUDIO = "audio_44khz"
CHAPTERS = "chapters_44khz.json"
MANIFESTS = ("manifest_filtered_44khz.json", "manifest_44khz.json")
"""Without the chapters that could not be downloaded, as NVIDIA's script writes it, or else all."""
ERRORS = "errors_44khz.json"
ANOTHER_VERSION = "another version of the table than this recipe knows"
ORIGIN = (
    "HiFiTTS-2 has manifest_44khz.json and chapters_44khz.json, from https://huggingface.co/datasets/nvidia/hifitts-2, "
    "and audio_44khz/, which NVIDIA's speech data processor or local/data.sh without --corpus_dir downloads"
)


def find_table(corpus: Path, names: tuple[str, ...]) -> Path:
    """Return the first of the tables that is there, in the corpus or in its folder ``44khz``, as the Hub has it.

    Raises:
        UsageError: If there is none.
    """
    for path in (folder / name for name in names for folder in (corpus, corpus / "44khz")):
        if path.is_file():
            return path
    what = f"no {names[-1]} in it" if corpus.is_dir() else "there is no such directory"
    raise UsageError(f"{corpus}: {what}; {ORIGIN}")


def read_lines(path: Path, *fields: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of a table, which may be larger than the memory.

    Args:
        path: The table.
        fields: What every line must have.

    Raises:
        UsageError: If a line is no JSON object or lacks a field; with its number.
    """
    with path.open(encoding="utf-8") as stream:
        for number, text in enumerate(stream, 1):
            try:
                line = json.loads(text)
            except ValueError as error:
                raise UsageError(f"{path}:{number}: no JSON ({error}): download it again") from None
            if not isinstance(line, dict):
                raise UsageError(f"{path}:{number}: no JSON object, but {text.strip()[:40]}: {ANOTHER_VERSION}")
            if lacking := [field for field in fields if field not in line]:
                raise UsageError(
                    f"{path}:{number}: no {', '.join(lacking)} in it; it has {', '.join(line)}: {ANOTHER_VERSION}"
                )
            yield line


def set_of(line: dict[str, Any], path: Path) -> str:
    """Return the set (train, dev, test) of a line of the manifest (raises :class:`UsageError` for any other)."""
    for name in ("train", "dev", "test"):
        if str(line["set"]).startswith(name):
            return name
    raise UsageError(f"{path}: set '{line['set']}' of {line['audio_filepath']} is not train, dev or test")
