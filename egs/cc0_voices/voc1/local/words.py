"""Word error rates of copies beside the originals': ``words.py REFERENCE [NAME=]SYSTEM ... [--table FILE]``.

REFERENCE is a data directory with transcripts (``dump/test``), a system what ``evagan score`` takes
(``exp/voc_NAME/synth/test``). pocketsphinx with the en-us model of its wheel writes down what it hears in the English
utterances (all, where the directory has no categories). An utterance's errors are the edit distance to its transcript,
in words; a rate is all errors by all words. What counts is the difference: the recogniser errs on the originals, too.
"""

import argparse
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evagan_plugin.audio.io import load_mono
from evagan_plugin.data.kaldi import DataDir
from evagan_plugin.data.names import REFERENCE
from evagan_plugin.data.systems import check_system_names, match, parse_systems
from evagan_plugin.errors import UsageError, one_line_errors, require, some
from evagan_plugin.utils.files import write_text
from evagan_plugin.utils.markdown import markdown_table
from evagan_plugin.utils.progress import track

LANGUAGE = "en"
SAMPLE_RATE = 16000
"""Of the recogniser's model, Hz."""


@dataclass(frozen=True)
class Heard:
    """What was heard in one recording, and how many words of it are wrong."""

    words: list[str]
    errors: int


def normalize(text: str) -> list[str]:
    """Return the words of a transcript as the recogniser's dictionary spells them: lower case, only letters and ``'``.

    Raises:
        UsageError: If there are digits: how they are read the text does not tell.
    """
    if any(character.isdigit() for character in text):
        raise UsageError(f"'{text}' has digits: write them in words, as they are read")
    text = unicodedata.normalize("NFKC", text).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()
    plain = "".join(character if character.isalpha() or character == "'" else " " for character in text)
    return [stripped for word in plain.split() if (stripped := word.strip("'"))]


def edit_distance(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return the fewest substitutions, deletions and insertions of words that turn one into the other."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        diagonal, row[0] = row[0], number
        for column, other in enumerate(heard, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
    return row[-1]


def recogniser() -> Callable[[Path], list[str]]:
    """Return a function that gives the words in a file.

    Raises:
        EvaganError: If pocketsphinx is not installed.
    """
    decoder = require("pocketsphinx", "words").Decoder(samprate=float(SAMPLE_RATE), loglevel="FATAL")

    def hear(path: Path) -> list[str]:
        wav = load_mono(path, SAMPLE_RATE)
        decoder.start_utt()
        # At once, so that the normalisation is of this recording alone and the order of the files plays no part.
        decoder.process_raw(np.round(wav * 32767).clip(-32768, 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        return normalize(hypothesis.hypstr) if hypothesis else []

    return hear


def transcripts(reference: str) -> dict[str, list[str]]:
    """Return the words of the English utterances.

    Raises:
        UsageError: If there are none.
    """
    data = DataDir.read(reference)
    english = {key: text for key, text in data.text.items() if data.lang.get(key, LANGUAGE) == LANGUAGE}
    words = {}
    for key, text in english.items():
        try:
            words[key] = normalize(text)
        except UsageError as error:
            raise UsageError(f"{reference}/text: {key}: {error}") from None
    if not any(words.values()):
        raise UsageError(f"{reference}: no transcripts of language '{LANGUAGE}' in it (text, utt2lang)")
    return words


def recognise(reference: str, systems: dict[str, str]) -> tuple[dict[str, list[str]], dict[str, dict[str, Heard]]]:
    """Return the words of each utterance, and what was heard by system and utterance, the reference first.

    Raises:
        UsageError: If a system lacks an utterance: rates of different texts say nothing.
        EvaganError: If audio cannot be read.
    """
    said = transcripts(reference)
    items = [item for item in match(reference, systems)[0] if item.utt_id in said]
    for name in systems:
        if lacking := said.keys() - {item.utt_id for item in items if name in item.hypotheses}:
            raise UsageError(f"{systems[name]}: {len(lacking)} of {len(said)} utterances are missing: {some(lacking)}")
    hear = recogniser()
    heard: dict[str, dict[str, Heard]] = {name: {} for name in (REFERENCE, *systems)}
    for item in track(items, "words", len(items)):
        for name, path in {REFERENCE: item.reference, **item.hypotheses}.items():
            words = hear(path)
            heard[name][item.utt_id] = Heard(words, edit_distance(said[item.utt_id], words))
    return said, heard


def rates_table(said: dict[str, list[str]], heard: dict[str, dict[str, Heard]]) -> str:
    """Return the rate of each system (%) and how far it is from the reference's (points), as Markdown."""
    words = sum(map(len, said.values()))
    rates = {name: 100 * sum(item.errors for item in found.values()) / words for name, found in heard.items()}
    rows = []
    for name, rate in rates.items():
        above = "" if name == REFERENCE else f"{rate - rates[REFERENCE]:+.1f}"
        rows.append([name, str(len(said)), str(words), f"{rate:.1f}", above])
    return markdown_table(["system", "utterances", "words", "WER (%)", "above the reference"], rows)


def utterances_table(said: dict[str, list[str]], heard: dict[str, dict[str, Heard]]) -> str:
    """Return every utterance, tab-separated: words, errors of each system, transcript, what was heard by each."""
    head = ["utt_id", "words", *(f"errors {name}" for name in heard), "transcript", *heard]
    lines = [head]
    for key, words in sorted(said.items()):
        found = [heard[name][key] for name in heard]
        errors = [str(item.errors) for item in found]
        lines.append([key, str(len(words)), *errors, " ".join(words), *(" ".join(item.words) for item in found)])
    return "".join("\t".join(line) + "\n" for line in lines)


def main() -> None:
    """Recognise, print the rates and write the table of utterances."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", help="data directory of the originals, with text")
    parser.add_argument("systems", nargs="+", metavar="[NAME=]SYSTEM", help="copies: a directory or wav.scp")
    parser.add_argument("--table", help="where the table of utterances goes; after the rates if not given")
    arguments = parser.parse_args()
    systems = parse_systems(arguments.systems)
    check_system_names(systems)
    said, heard = recognise(arguments.reference, systems)
    sys.stdout.write(rates_table(said, heard) + "\n")
    if arguments.table:
        write_text(arguments.table, utterances_table(said, heard))
    else:
        sys.stdout.write("\n" + utterances_table(said, heard))


if __name__ == "__main__":
    with one_line_errors("words.py"):
        main()
