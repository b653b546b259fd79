"""Word error rates of copies: the arithmetic by itself, and pocketsphinx on real speech where it is installed."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from evagan_plugin.audio.io import load_audio, resample
from evagan_plugin.data.kaldi import DataDir
from evagan_plugin.errors import UsageError

SCRIPT = "local/words.py"
WORDS = st.lists(st.sampled_from("abc"), max_size=6)


@pytest.fixture(scope="session")
def words(egs):
    spec = importlib.util.spec_from_file_location("words", egs / "cc0_voices" / "voc1" / SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@given(first=WORDS, second=WORDS, third=WORDS)
def test_the_distance_is_a_metric(words, first, second, third):
    distance = words.edit_distance(first, second)
    assert (distance == 0) == (first == second)
    assert abs(len(first) - len(second)) <= distance <= max(len(first), len(second))
    assert distance == words.edit_distance(second, first)
    assert distance <= words.edit_distance(first, third) + words.edit_distance(third, second)


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("you were engaged", "you're engaged", 2),
        ("do you value your hide", "do you value your hi andy", 2),
        ("for two hours not a word passed", "for two hours no no word passed", 2),
        ("a hawk brooded", "", 3),
    ],
)
def test_errors_are_counted_as_by_hand(words, said, heard, errors):
    assert words.edit_distance(said.split(), heard.split()) == errors


def test_a_transcript_becomes_the_words_of_a_dictionary(words):
    text = "\N{LEFT DOUBLE QUOTATION MARK}You won\N{RIGHT SINGLE QUOTATION MARK}t die, O'Brien,\" he said; 'be sure'."
    assert " ".join(words.normalize(text)) == "you won't die o'brien he said be sure"
    assert words.normalize("The well-known café — Étienne's.") == ["the", "well", "known", "café", "étienne's"]
    assert words.normalize("...") == []
    with pytest.raises(UsageError, match="write them in words"):
        words.normalize("In 1887 he left")


@pytest.fixture
def speech(shared_audio, tmp_path):
    """Two short English utterances, a German one whose words nobody asks for, and copies at another rate."""
    with (shared_audio / "lowrate" / "manifest.tsv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    told = [row for row in rows if row["speaker"] == "ljspeech" and row["text"]]
    english = sorted(told, key=lambda row: float(row["duration"]))[:2]
    german = next(row for row in rows if row["speaker"] == "thorsten")
    data, copies = DataDir(wav={}), tmp_path / "copies"
    copies.mkdir()
    for row in [*english, german]:
        path = shared_audio / "lowrate" / row["path"]
        data.wav[row["utt_id"]] = str(path)
        data.text[row["utt_id"]] = row["text"] or "Im Jahr 1887."
        data.lang[row["utt_id"]] = "de" if row is german else "en"
        wav, rate = load_audio(path)
        soundfile.write(copies / f"{row['utt_id']}.wav", resample(wav[0], rate, 24000), 24000)
    data.write(tmp_path / "test")
    return tmp_path


def test_good_copies_keep_their_words_and_noise_has_none(recipe, run, speech):
    pytest.importorskip("pocketsphinx", reason="the extra 'words' is not installed")
    place = recipe("cc0_voices/voc1")
    (speech / "noise").mkdir()
    for path in (speech / "copies").iterdir():
        soundfile.write(speech / "noise" / path.name, np.random.default_rng(0).uniform(-0.3, 0.3, 30000), 16000)
    call = ["python", SCRIPT, speech / "test", speech / "copies"]
    done = run(place, *call, f"noise={speech / 'noise'}", "--table", speech / "words.tsv")
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["reference", "copies", "noise"]
    assert {row[1] for row in rows} == {"2"}, "English only"
    reference, copies, noise = (float(row[3]) for row in rows)
    assert reference < 40
    assert abs(copies - reference) <= 10
    assert noise > 90
    table = list(csv.DictReader((speech / "words.tsv").open(encoding="utf-8"), delimiter="\t"))
    assert len(table) == 2
    assert sum(int(row["errors reference"]) for row in table) == round(reference / 100 * int(rows[0][2]))
    assert all(len(row["transcript"].split()) == int(row["words"]) for row in table)
    # What comes first plays no part: the last utterance alone gives the same words.
    last = table[-1]["utt_id"]
    DataDir.read(speech / "test").subset([last]).write(speech / "last")
    done = run(place, "python", SCRIPT, speech / "last", speech / "copies")
    assert done.returncode == 0, done.stderr
    assert read_rows(done.stdout) == [{key: value for key, value in table[-1].items() if "noise" not in key}]


def read_rows(output: str) -> list[dict[str, str]]:
    """Return the table of utterances behind that of the rates."""
    return list(csv.DictReader(output.partition("\n\n")[2].splitlines(), delimiter="\t"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "test" / "text").unlink(), "no transcripts of language 'en' in it (text, utt2lang)"),
        (
            lambda root: (root / "test" / "text").write_text("speech_ljspeech_0002 in 1455.\n"),
            "test/text: speech_ljspeech_0002: 'in 1455.' has digits",
        ),
        (
            lambda root: (root / "copies" / "speech_ljspeech_0002.wav").unlink(),
            "1 of 2 utterances are missing: speech_",
        ),
        (lambda root: (root / "copies").rename(root / "moved"), "copies does not exist"),
    ],
)
def test_what_cannot_be_compared_is_one_line(recipe, run, speech, spoil, said):
    spoil(speech)
    done = run(recipe("cc0_voices/voc1"), "python", SCRIPT, speech / "test", speech / "copies")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr


def test_a_missing_recogniser_names_the_extra(recipe, run, speech):
    place = recipe("cc0_voices/voc1")
    blocked = speech / "blocked"
    blocked.mkdir()
    (blocked / "pocketsphinx.py").write_text("raise ModuleNotFoundError('no', name='pocketsphinx')\n")
    path = f"{blocked}:{Path(__file__).parents[2]}"
    done = run(place, "python", SCRIPT, speech / "test", speech / "copies", PYTHONPATH=path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "pip install 'evagan-plugin[words]'" in done.stderr
