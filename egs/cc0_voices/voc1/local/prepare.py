"""Write the data directories of three CC0 voices: ``prepare.py CORPORA DATA_DIR PARTIAL``.

The names decide what is held out, whatever the order of the file system: of a voice's prompts, sorted by name, forty
that lie evenly (numbers ``i * prompts // 40``), for development and test by turns. Kathleen read many prompts several
times: of one that is held out the first take is kept and the others are in no set.

Counts and hours are checked against the repositories' last commits (2020-10 to 2021-08). ``PARTIAL`` (``true``) takes
what there is instead, and where a tenth of the prompts is less than twenty, each held-out set has only that.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from evagan_plugin.audio.io import read_header
from evagan_plugin.data.corpus import find_files
from evagan_plugin.data.kaldi import DataDir
from evagan_plugin.errors import EvaganError, UsageError, one_line_errors, some
from evagan_plugin.utils.files import read_text

SETS = ("train", "dev", "test")
HELD_OUT = 20
"""Prompts of a voice in the development set, and as many in the test set."""
MOST_HELD_OUT = 1 / 10
"""Part of the prompts that either set may take: fewer than twenty are held out of a part of a corpus."""
TAKE = re.compile(r"_\d{10}$")
"""What Kathleen's recordings have behind the name of the prompt: the time, in seconds."""
SLACK_HOURS = 0.01


@dataclass(frozen=True)
class Voice:
    """A corpus of one speaker: a repository of GitHub's rhasspy."""

    name: str
    language: str
    pattern: str
    """Where the recordings are."""
    recordings: int
    hours: float

    @property
    def repository(self) -> str:
        """Name of the repository and of its clone."""
        return f"dataset-voice-{self.name}"


VOICES = (
    Voice("kathleen", "en", "data/*.wav", 1620, 1.37),
    Voice("nathalie", "nl", "verified/*.flac", 1130, 0.70),
    Voice("kerstin", "de", "verified/*.flac", 1374, 1.76),
)


def read_voice(corpora: Path, voice: Voice, partial: bool) -> DataDir:
    """Return all recordings of a voice.

    Raises:
        UsageError: If the clone is missing or not whole.
    """
    corpus = corpora / voice.repository
    origin = f"https://github.com/rhasspy/{voice.repository} is cloned there, or by local/data.sh without --corpora"
    files = {path.stem: path for path in find_files(corpus, voice.pattern, origin)}
    transcripts = read_transcripts(next(iter(files.values())).parent)
    mend = f"the clone is not whole: git -C {corpus} checkout HEAD -- {Path(voice.pattern).parent}"
    if (lacking := transcripts.keys() - files.keys()) and not partial:
        raise UsageError(f"{corpus}: {len(lacking)} transcripts have no recording ({some(lacking)}); {mend}")
    if lacking := files.keys() - transcripts.keys():
        raise UsageError(f"{corpus}: {len(lacking)} recordings have no transcript ({some(lacking)}); {mend}")
    if len(files) != voice.recordings and not partial:
        raise UsageError(
            f"{corpus}: {len(files)} recordings, not {voice.recordings}; {mend} (--partial true takes what there is)"
        )
    data = DataDir(wav={})
    for stem, path in files.items():
        utterance = f"{voice.name}_{stem}"
        data.wav[utterance] = str(path)
        data.utt2spk[utterance] = voice.name
        data.text[utterance] = transcripts[stem]
        data.lang[utterance] = voice.language
    return data


def read_transcripts(folder: Path) -> dict[str, str]:
    """Return the transcripts by name of the recording: of ``metadata.csv`` (``name|text``), or of ``name.txt`` each.

    Raises:
        UsageError: If one is empty, or no text.
    """
    metadata = folder / "metadata.csv"
    sources = [metadata] if metadata.is_file() else sorted(folder.glob("*.txt"))
    transcripts = {}
    for source in sources:
        text = read_text(source)
        rows = [line.partition("|")[::2] for line in text.splitlines()] if source == metadata else [(source.stem, text)]
        for number, (stem, line) in enumerate(rows, 1):
            if not line.strip():
                raise UsageError(f"{source}:{number}: no transcript")
            transcripts[stem] = " ".join(line.split())
    return transcripts


def measure(data: DataDir) -> float:
    """Return the hours of all recordings, as their headers state them.

    Raises:
        EvaganError: If a file is no audio.
    """
    seconds = 0.0
    for path in data.wav.values():
        try:
            header = read_header(path)
        except EvaganError as error:
            raise EvaganError(f"{error}; fetch it again") from None
        seconds += header.frames / header.sample_rate
    return seconds / 3600


def split(data: DataDir) -> dict[str, DataDir]:
    """Return the sets of one voice.

    Raises:
        UsageError: If there are too few prompts.
    """
    takes: dict[str, list[str]] = {}
    for utterance in data.utterances:
        takes.setdefault(TAKE.sub("", utterance), []).append(utterance)
    prompts = sorted(takes)
    held_out = min(HELD_OUT, int(len(prompts) * MOST_HELD_OUT))
    if not held_out:
        speaker = data.utt2spk[data.utterances[0]]
        raise UsageError(f"{speaker}: {len(prompts)} prompts are too few to split, ten are needed at least")
    chosen = [prompts[i * len(prompts) // (2 * held_out)] for i in range(2 * held_out)]
    sets = {
        "train": [utterance for prompt in prompts if prompt not in chosen for utterance in takes[prompt]],
        "dev": [takes[prompt][0] for prompt in chosen[0::2]],
        "test": [takes[prompt][0] for prompt in chosen[1::2]],
    }
    return {name: data.subset(utterances) for name, utterances in sets.items()}


def prepare_voice(corpora: Path, voice: Voice, partial: bool) -> dict[str, DataDir]:
    """Read, check and split a voice, and say what it has.

    Raises:
        UsageError: If it is not as long as it should be.
    """
    data = read_voice(corpora, voice, partial)
    hours = measure(data)
    if abs(hours - voice.hours) > SLACK_HOURS and not partial:
        raise UsageError(f"{corpora / voice.repository}: {hours:.2f} h, not {voice.hours:.2f}: is the clone whole?")
    sets = split(data)
    counts = ", ".join(f"{len(sets[name].wav)} {name}" for name in SETS)
    takes = len(data.wav) - sum(len(part.wav) for part in sets.values())
    others = f"; {takes} further takes of held-out prompts left out" if takes else ""
    sys.stderr.write(f"{voice.name} ({voice.language}): {len(data.wav)} recordings, {hours:.2f} h: {counts}{others}\n")
    return sets


def main(corpora: Path, data_dir: Path, partial: bool) -> None:
    """Write ``train``, ``dev`` and ``test`` of all voices together.

    Raises:
        UsageError: If none of the corpora is there.
    """
    there = [voice for voice in VOICES if not partial or (corpora / voice.repository).is_dir()]
    if not there:
        raise UsageError(f"{corpora}: none of {', '.join(voice.repository for voice in VOICES)} in it")
    voices = [prepare_voice(corpora, voice, partial) for voice in there]
    for name in SETS:
        DataDir.merged([sets[name] for sets in voices]).write(data_dir / name)


if __name__ == "__main__":
    with one_line_errors("prepare.py"):
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "true")
