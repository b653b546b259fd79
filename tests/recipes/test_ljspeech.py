"""Data preparation of LJSpeech, on a small tree laid out as the corpus is."""

import csv
from pathlib import Path

import pytest
import soundfile
from corpora import SETS, read_sets

from evagan_plugin.data.kaldi import DataDir


@pytest.fixture
def ljspeech(shared_audio, tmp_path):
    """The LJSpeech utterances of the shared audio, laid out as LJSpeech-1.1 is."""
    corpus = tmp_path / "LJ Speech-1.1"
    (corpus / "wavs").mkdir(parents=True)
    with (shared_audio / "lowrate" / "manifest.tsv").open(encoding="utf-8") as stream:
        rows = [
            row
            for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
            if row["speaker"] == "ljspeech"
        ]
    lines = []
    for row in rows:
        utterance = Path(row["origin"]).stem
        wav, rate = soundfile.read(shared_audio / "lowrate" / row["path"], dtype="int16")
        soundfile.write(corpus / "wavs" / f"{utterance}.wav", wav, rate)
        lines.append(f"{utterance}|{row['text']}|{row['text']}")
    (corpus / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return corpus


def test_ljspeech_in_a_folder_with_a_space(recipe, run, ljspeech):
    place = recipe("ljspeech/voc1")
    done = run(place, "./run.sh", "--corpus_dir", ljspeech, "--stop_stage", 2, "--nj", 2)
    assert done.returncode == 0, done.stderr
    sets = read_sets(place / "data")
    assert {name: len(data.wav) for name, data in sets.items()} == {"train": 26, "dev": 3, "test": 3}
    order = [utterance for name in SETS for utterance in sets[name].utterances]
    assert order == sorted(order), "the held-out utterances are the last of the corpus"
    formatted = DataDir.read(place / "dump" / "train")
    assert len(formatted.utt2dur) == 26
    assert soundfile.info(place / formatted.wav["LJ001-0001"]).samplerate == 22050


def test_incomplete_ljspeech_is_told(recipe, run, ljspeech):
    place = recipe("ljspeech/voc1")
    (ljspeech / "wavs" / "LJ001-0002.wav").unlink()
    done = run(place, "local/data.sh", "--corpus_dir", ljspeech)
    assert done.returncode == 2
    assert "metadata.csv:2:" in done.stderr
    assert "LJ001-0002.wav is missing" in done.stderr
    done = run(place, "local/data.sh", "--corpus_dir", ljspeech / "wavs")
    assert (done.returncode, "no metadata.csv in it" in done.stderr) == (2, True)
