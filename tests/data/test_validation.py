"""Validation of data directories: each fault by file and line, all of them at once, and none where there is none."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evagan_plugin.cli import main
from evagan_plugin.data.kaldi import DataDir, Segment
from evagan_plugin.data.validation import validate_data_dir
from evagan_plugin.errors import UsageError

RATE = 16000
KEYS = ("ann-1", "ann-2", "bob-1")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A sound directory, with every table that is by utterance."""
    for index, key in enumerate(KEYS, 1):
        soundfile.write(tmp_path / f"{key}.wav", np.zeros(index * RATE), RATE)
        np.save(tmp_path / f"{key}.npy", np.zeros((4, 80), np.float32))
    speakers = {key: key.partition("-")[0] for key in KEYS}
    DataDir(
        wav={key: str(tmp_path / f"{key}.wav") for key in KEYS},
        feats={key: str(tmp_path / f"{key}.npy") for key in KEYS},
        utt2spk=speakers,
        text=dict.fromkeys(KEYS, "one two"),
        lang=dict.fromkeys(KEYS, "en"),
        utt2dur={key: f"{index}.0" for index, key in enumerate(KEYS, 1)},
        utt2num_samples={key: str(index * RATE) for index, key in enumerate(KEYS, 1)},
        category=dict.fromkeys(KEYS, "speech"),
        batch_category=dict.fromkeys(KEYS, "clean"),
    ).write(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """A sound directory with segments of one recording of two seconds."""
    soundfile.write(tmp_path / "rec.wav", np.zeros(2 * RATE), RATE)
    segments = {"a": Segment("rec", 0.0, 1.0), "b": Segment("rec", 1.0, -1.0)}
    DataDir(wav={"rec": str(tmp_path / "rec.wav")}, segments=segments).write(tmp_path / "data")
    return tmp_path / "data"


def change(path: Path, old: str, new: str) -> None:
    content = path.read_bytes()
    assert old.encode() in content
    path.write_bytes(content.replace(old.encode(), new.encode()))


def problems(directory: Path, **options: object) -> list[str]:
    """Return the problems without the directory in front."""
    return [text.removeprefix(f"{directory}/") for text in validate_data_dir(directory, **options).problems]


@pytest.mark.parametrize("kind", ["plain", "cut"])
def test_what_is_written_here_is_sound(kind: str, request: pytest.FixtureRequest):
    found = validate_data_dir(request.getfixturevalue(kind), jobs=2)
    assert found.problems == []
    expected = {
        "plain": ("3 utterances of 2 speakers in 3 recordings, 0.00 h, 3 transcripts", 6 / 3600),
        "cut": ("2 utterances of 2 speakers in 1 recordings, 0.00 h, 0 transcripts", 2 / 3600),
    }[kind]
    assert (found.counts.partition(": ")[2], found.hours) == (expected[0], pytest.approx(expected[1]))


# File, a part of it, what takes its place, and what is to be said.
FAULTS = [
    (
        "utt2lang",
        "ann-1 en\nann-2 en\n",
        "ann-2 en\nann-1 en\n",
        "utt2lang:2: 'ann-1' stands after 'ann-2': not sorted",
    ),
    ("utt2lang", "bob-1 en", "ann-2 de", "utt2lang:3: duplicate id 'ann-2', first on line 2"),
    ("utt2lang", "bob-1 en\n", "", "utt2lang: 'bob-1' is missing, which is in wav.scp:3"),
    ("utt2lang", "bob-1 en", "bob-1 en\ncid-1 en", "utt2lang:4: 'cid-1' is not in wav.scp"),
    ("text", "bob-1 one two", "bob-1 one two\ncid-1 one", "text:4: 'cid-1' is not in wav.scp"),
    ("utt2lang", "ann-1 en", "ann-1", "utt2lang:1: 'ann-1' has nothing after it"),
    ("utt2lang", "ann-2 en\n", "ann-2 en\n \n", "utt2lang:3: an empty line"),
    ("utt2lang", "ann-2 en\n", "ann-2 en\r\n", "utt2lang:2: ends in a carriage return"),
    ("utt2lang", "ann-1 en\n", "\ufeffann-1 en\n", "utt2lang:1: begins with a byte order mark"),
    ("utt2lang", "ann-1 en\nann-2 en\nbob-1 en\n", "", "utt2lang: no lines in it"),
    ("utt2spk", "ann-1 ann", "ann-1 ann lee", "utt2spk:1: 'ann lee' is not one speaker's id"),
    ("spk2utt", "ann ann-1 ann-2", "ann ann-1", "spk2utt: 'ann-2' is missing, which is in utt2spk:2"),
    ("spk2utt", "bob bob-1", "bob bob-1 bob-1", "spk2utt:2: 'bob-1' stands twice, first on line 2"),
    ("spk2utt", "bob bob-1", "bob bob-1 bob-2", "spk2utt:2: 'bob-2' of 'bob' is not in utt2spk"),
    ("utt2spk", "ann-2 ann", "ann-2 bob", "spk2utt:1: 'ann-2' is of 'ann' here, in utt2spk:2 of 'bob'"),
    ("utt2dur", "2.0", "-2.0", "utt2dur:2: '-2.0' is no positive number"),
    ("utt2num_samples", "48000", "48000.5", "utt2num_samples:3: '48000.5' is no positive number"),
    ("wav.scp", "ann-2.wav", "gone.wav", "wav.scp:2: 'ann-2': "),
    ("feats.scp", "ann-2.npy", "gone.npy", "feats.scp:2: 'ann-2': "),
    ("feats.scp", "ann-2.npy", "ann-2.wav.ark:7", "No such file"),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), FAULTS)
def test_each_fault_is_said_by_file_and_line(plain: Path, file: str, old: str, new: str, message: str):
    change(plain / file, old, new)
    found = problems(plain)
    assert any(message in text for text in found), found
    assert not any("\n" in text for text in found)
    known_by_others = ("missing", "no lines", "duplicate", "one speaker")  # which miss the line, or its value
    assert len(found) == 1 or any(part in message for part in known_by_others), "one fault is said once"


SEGMENT_FAULTS = [
    (
        "segments",
        "a rec 0.0 1.0",
        "a rec 0.0",
        "segments:1: 'a rec 0.0' is not '<utterance> <recording> <start> <end>'",
    ),
    ("segments", "a rec 0.0 1.0", "a rec 1.0 0.5", "segments:1: 'a' begins at 1.0 s and ends at 0.5 s"),
    (
        "segments",
        "b rec 1.0 -1.0",
        "b rec 1.0 2.6",
        "segments:2: 'b': segment 1.0 to 2.6 s is not inside the recording",
    ),
    ("segments", "b rec", "b other", "segments:2: recording 'other' of 'b' is not in wav.scp"),
    ("wav.scp", "rec ", "more x.wav\nrec ", "wav.scp:1: recording 'more' has no segment"),
    ("utt2spk", "b b", "c b", "utt2spk:2: 'c' is not in segments"),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), SEGMENT_FAULTS)
def test_segments_lie_in_their_recordings(cut: Path, file: str, old: str, new: str, message: str):
    change(cut / file, old, new)
    found = problems(cut)
    assert any(text.startswith(message) for text in found), found


@pytest.mark.parametrize("file", ["wav.scp", "utt2spk", "spk2utt"])
def test_what_kaldi_cannot_do_without_must_be_there(plain: Path, file: str):
    (plain / file).unlink()
    assert (
        [text for text in problems(plain) if "is missing: " in text]
        == [text for text in problems(plain) if text.startswith(f"{file}: is missing: ")]
        != []
    )


@pytest.mark.parametrize("table", ["utt2lang", "segments", "wav.scp"])
def test_another_encoding_is_said_and_the_rest_is_read(plain: Path, table: str):
    (plain / table).write_bytes(b"ann-1 caf\xe9\n")
    (plain / "utt2num_samples").write_text("ann-1 0\n")
    found = problems(plain)
    assert any(text.startswith(f"{table}: not UTF-8 text") for text in found), found
    assert any(text.startswith("utt2num_samples:1: '0'") for text in found), found


def test_all_faults_are_said_in_the_order_of_files_and_lines(plain: Path):
    change(plain / "wav.scp", "ann-1.wav", "gone.wav")
    change(plain / "utt2lang", "ann-2 en\n", "")
    change(plain / "text", "bob-1 one two", "zoe-1 one\nyan-1 one")
    found = [re.match(r"[\w.]+(:\d+)?", text)[0] for text in problems(plain)]
    assert found == ["wav.scp:1", "text:3", "text:4", "text:4", "utt2lang"]


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty file"), (b"RIFF....WAVE", ""), (None, "no samples in it")]
)
def test_audio_is_opened_unless_told_otherwise(plain: Path, content: bytes | None, reason: str):
    wav = plain.parent / "ann-1.wav"
    if content is None:
        soundfile.write(wav, np.zeros(0), RATE)
    else:
        wav.write_bytes(content)
    (text,) = problems(plain)
    assert text.startswith("wav.scp:1: 'ann-1': ") and reason in text
    found = validate_data_dir(plain, audio=False)
    assert found.problems == [] and found.hours is None and "audio not opened" in found.counts


def test_pipes_are_not_run(plain: Path):
    change(plain / "wav.scp", str(plain.parent / "ann-1.wav"), f"touch {plain}/ran; cat {plain.parent}/ann-1.wav |")
    found = validate_data_dir(plain)
    assert (found.problems, found.hours) == ([], None)
    assert not (plain / "ran").exists()


def test_transcripts_may_lack(plain: Path):
    (plain / "text").write_text("ann-1\nbob-1 one\n")
    found = validate_data_dir(plain)
    assert found.problems == [] and found.counts.endswith("1 transcripts")


def test_a_place_that_is_no_directory(tmp_path: Path):
    with pytest.raises(UsageError, match="is not a directory"):
        validate_data_dir(tmp_path / "nowhere")


def test_the_command_prints_counts_or_problems(
    plain: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    def run(*options: str) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["evagan", "validate", *options])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capfd.readouterr().out.splitlines()

    assert run(str(plain), "--nj", "2") == (0, [validate_data_dir(plain).counts])
    change(plain / "wav.scp", "ann-1.wav", "gone.wav")
    change(plain / "text", "bob-1", "bob-2")
    status, lines = run(str(plain))
    assert (status, [line.partition(": ")[0] for line in lines]) == (1, [f"{plain}/wav.scp:1", f"{plain}/text:3"])
    status, lines = run(str(plain), "--no-audio")
    assert (status, len(lines)) == (1, 1)
    assert run(str(plain / "nowhere")) == (2, [])
