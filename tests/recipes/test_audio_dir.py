"""Any folder of audio: which file comes into which set."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from corpora import noise, read_sets, speakers
from mixes import FEW_STEPS, RATE, lay_out, recordings

from evagan_plugin.data.kaldi import DataDir


@pytest.fixture
def folder(tmp_path):
    """A folder of audio as people have it: spaces, equal names, umlauts, things that are no audio."""
    root = tmp_path / "my audio"
    names = [f"singer one/take {number}.wav" for number in range(30)]
    names += ["a-b.wav", "a/b.wav", "Bär & Co/ton (1).flac", "README.txt", ".hidden/x.wav", "up.WAV"]
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no audio")
        else:
            soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 800), 8000)
    return root


def test_any_folder_is_split_by_hash(recipe, run, folder):
    place = recipe("audio_dir/voc1")
    done = run(place, "local/data.sh", "--audio_dir", folder)
    assert done.returncode == 0, done.stderr
    sets = read_sets(place / "data")
    placed = {path: name for name, data in sets.items() for path in data.wav.values()}
    assert len(placed) == sum(len(data.wav) for data in sets.values()) == 34
    assert all(Path(path).is_file() for path in placed)
    utterances = [utterance for data in sets.values() for utterance in data.wav]
    assert len(set(utterances)) == 34
    assert all(set(utterance) <= set(map(chr, range(33, 127))) - set("/ &()") for utterance in utterances)
    spoken = {speaker for data in sets.values() for speaker in speakers(data)}
    assert "singer_one" in spoken
    shutil.rmtree(folder / "Bär & Co")
    assert run(place, "local/data.sh", "--audio_dir", folder).returncode == 0
    after = {path: name for name, data in read_sets(place / "data").items() for path in data.wav.values()}
    assert all(placed[path] == name for path, name in after.items()), "a file changed its set when another went"


def test_manifest_decides_the_split(recipe, run, shared_audio):
    place = recipe("audio_dir/voc1")
    source = shared_audio / "fullband"
    done = run(place, "local/data.sh", "--audio_dir", source)
    assert done.returncode == 0, done.stderr
    sets = read_sets(place / "data")
    with (source / "manifest.tsv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    for name, data in sets.items():
        assert set(data.wav) == {row["utt_id"] for row in rows if row["split"] == name}
    first = rows[0]
    assert sets[first["split"]].wav[first["utt_id"]] == str(source / first["path"])
    assert sets[first["split"]].utt2spk[first["utt_id"]] == first["speaker"]


def test_manifest_without_a_usable_split_says_so(recipe, run, shared_audio):
    place = recipe("audio_dir/voc1")
    done = run(place, "local/data.sh", "--audio_dir", shared_audio / "lowrate")
    assert done.returncode == 0, done.stderr
    assert "splits are not train, dev and test but lowrate: split by hash" in done.stderr
    assert sum(len(data.wav) for data in read_sets(place / "data").values()) == 207


@pytest.mark.parametrize("column", ["speaker", "source"])
def test_a_manifest_without_splits_keeps_speakers_apart(recipe, run, tmp_path, column):
    folder = tmp_path / "folder"
    rows = [(f"{number}-{take}.wav", f"someone {number}") for number in range(12) for take in range(5)]
    for name, _ in rows:
        noise(folder / name)
    manifest = folder / "manifest.tsv"
    manifest.write_text(f"path\t{column}\tcategory\n" + "".join(f"{name}\t{who}\tspeech\n" for name, who in rows))
    place = recipe("audio_dir/voc1")
    done = run(place, "local/data.sh", "--audio_dir", folder, "--dev_percent", 20, "--test_percent", 20)
    assert done.returncode == 0, done.stderr
    sets = read_sets(place / "data")
    assert sum(len(data.wav) for data in sets.values()) == len(rows)
    assert sum(len(speakers(data)) for data in sets.values()) == 12, "a speaker is in two sets"
    assert set(sets["test"].category.values()) == {"speech"}
    before = {speaker: name for name, data in sets.items() for speaker in speakers(data)}
    manifest.write_text(f"path\t{column}\n" + "".join(f"{name}\t{who}\n" for name, who in rows[5:]))
    options = ["--dev_percent", 20, "--test_percent", 20]
    assert run(place, "local/data.sh", "--audio_dir", folder, *options).returncode == 0
    after = {speaker: name for name, data in read_sets(place / "data").items() for speaker in speakers(data)}
    assert after.items() <= before.items(), "a speaker changed its set when another went"


def test_two_speakers_are_too_few_for_three_sets(recipe, run, tmp_path):
    rows = [f"{number}.wav\tsomeone {number % 2}\n" for number in range(10)]
    for number in range(10):
        noise(tmp_path / "folder" / f"{number}.wav")
    (tmp_path / "folder" / "manifest.tsv").write_text("path\tspeaker\n" + "".join(rows))
    done = run(recipe("audio_dir/voc1"), "local/data.sh", "--audio_dir", tmp_path / "folder")
    assert (done.returncode, "no files for the set 'train': 2 speakers are too few" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("files", "manifest", "said"),
    [
        ([], None, "no audio in it"),
        (["a.wav", "b.wav"], None, "2 files are too few to split"),
        (["a.wav"], "name\tpath\nx\n", "no rows with a column 'path'"),
        (["a.wav"], "path\na.wav\na.wav\nb.wav\n", "are one file or one utterance id"),
    ],
)
def test_folders_that_cannot_be_used_are_told(recipe, run, tmp_path, files, manifest, said):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in files:
        soundfile.write(folder / name, np.zeros(100), 8000)
    if manifest:
        (folder / "manifest.tsv").write_text(manifest)
    done = run(recipe("audio_dir/voc1"), "local/data.sh", "--audio_dir", folder)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_audio_dir_must_be_given_and_be_there(recipe, run, tmp_path):
    place = recipe("audio_dir/voc1")
    assert "--audio_dir is needed" in run(place, "./run.sh").stderr
    done = run(place, "./run.sh", "--audio_dir", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "is not a folder" in done.stderr


@pytest.mark.slow
def test_a_mix_of_corpora_is_trained_on_and_judged_by_the_folder(recipe, run, shared_audio, tmp_path):
    """`python -m pytest -m slow tests/recipes/test_audio_dir.py`: `run.sh --mix` with real audio, stages 1 to 5."""
    pytest.importorskip("espnet2", reason="espnet is not installed", exc_type=ImportError)
    place = recipe("audio_dir/voc1")
    lay_out(tmp_path / "speech", recordings(shared_audio, "speech", 8))
    for name in ("music", "effects"):
        lay_out(tmp_path / name, recordings(shared_audio, name, 4))
        done = run(place, "evagan", "format", tmp_path / name, place / "dump" / name, "--sample-rate", RATE)
        assert done.returncode == 0, done.stderr
    sources = [
        {"name": "speech", "path": "dump/train", "share": 50, "category": "speech"},
        {"name": "music", "path": "dump/music", "share": 45, "category": "music"},
        {"name": "effects", "path": "dump/effects", "share": 5, "gain_db": -6},
    ]
    (place / "mix.yaml").write_text(yaml.safe_dump({"sources": sources}))
    (place / "train_few.yaml").write_text(yaml.safe_dump(FEW_STEPS))
    words = ["./run.sh", "--audio_dir", tmp_path / "speech", "--mix", "mix.yaml", "--train_config", "train_few.yaml"]
    done = run(place, *words, "--nj", 1, "--score_metrics", "log_mel_l1", "--stop_stage", 5)
    assert done.returncode == 0, done.stderr
    exp = place / "exp" / "voc_few"
    log = (exp / "train.log").read_text()
    for said in ("speech (speech): 50.0000%", "music (music): 45.0000%", "effects: 5.0000%"):
        assert f"{said} of the items" in log
    assert "-6 dB" in log
    assert DataDir.read(exp / "synth" / "test").utterances == DataDir.read(place / "dump" / "test").utterances
    assert "log-mel L1" in (exp / "RESULTS.md").read_text()
    # The next call finds all of it done.
    again = run(place, *words, "--nj", 1, "--stage", 3, "--stop_stage", 4)
    assert (again.returncode, "synth/test is up to date" in again.stderr) == (0, True), again.stderr
