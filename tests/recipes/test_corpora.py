"""Data preparation of each corpus, on real archives and on small trees laid out as the corpora are."""

import csv
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evagan_plugin.audio import load_audio
from evagan_plugin.kaldi import DataDir

SETS = ("train", "dev", "test")


def read_sets(directory: Path) -> dict[str, DataDir]:
    return {name: DataDir.read(directory / name) for name in SETS}


def speakers(data: DataDir) -> set[str]:
    return set(data.utt2spk.values())


# ---------------------------------------------------------------------------------------------------------- mini_an4


def test_shipped_an4_is_split_by_speaker(recipe, run):
    pytest.importorskip("espnet2", reason="the espnet package, which brings the 8 utterances, is not installed")
    place = recipe("mini_an4/voc1")
    done = run(place, "local/data.sh")
    assert done.returncode == 0, done.stderr
    sets = read_sets(place / "data")
    assert {name: len(data.wav) for name, data in sets.items()} == {"train": 4, "dev": 2, "test": 2}
    assert not speakers(sets["test"]) & (speakers(sets["train"]) | speakers(sets["dev"]))
    assert not speakers(sets["dev"]) & speakers(sets["train"])
    assert sets["test"].text["fcaw-cen8-fcaw-b"] == "ELEVEN TWENTY SEVEN FIFTY SEVEN"
    assert sets["train"].text["fash-an251-fash-b"] == "YES"
    for data in sets.values():
        for path in data.wav.values():
            wav, rate = load_audio(place / path)
            assert (rate, wav.shape[0]) == (16000, 1)
            assert np.abs(wav).max() > 0.02


def an4_archive(path: Path) -> None:
    """Write an archive laid out as CMU's: an4/etc with lists, an4/wav/{an4_clstk,an4test_clstk}/SPEAKER/*.sph."""
    encoded = io.BytesIO()
    soundfile.write(encoded, np.zeros(1600), 16000, format="NIST", subtype="PCM_16")
    files = {
        f"an4_clstk/s{speaker:02}/an{speaker}-s{speaker:02}-b": f"<s> WORD {speaker} </s>" for speaker in range(20)
    }
    tests = {"an4test_clstk/t1/cen1-t1-b": "A B C"}
    contents = {}
    for part, utterances in (("train", files), ("test", tests)):
        lines = [f"{text} ({Path(name).name})" for name, text in utterances.items()]
        contents[f"an4/etc/an4_{part}.transcription"] = "\n".join(lines).encode()
        contents |= {f"an4/wav/{name}.sph": encoded.getvalue() for name in utterances}
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def test_whole_an4_is_downloaded_once(recipe, run, tmp_path):
    place = recipe("mini_an4/voc1")
    archive = tmp_path / "an4_sphere.tar.gz"
    an4_archive(archive)
    options = ["--full_corpus", "true", "--corpus_url", archive.as_uri()]
    done = run(place, "local/data.sh", *options)
    assert done.returncode == 0, done.stderr
    sets = read_sets(place / "data")
    assert {name: len(data.wav) for name, data in sets.items()} == {"train": 18, "dev": 2, "test": 1}
    assert sets["train"].text["s03-an3-s03-b"] == "WORD 3"
    archive.unlink()
    assert run(place, "local/data.sh", *options).returncode == 0, "the second run needs no download"


def test_download_without_network_says_what_to_do(recipe, run):
    place = recipe("mini_an4/voc1")
    url = "http://127.0.0.1:9/an4_sphere.tar.gz"
    done = run(place, "local/data.sh", "--full_corpus", "true", "--corpus_url", url)
    assert done.returncode == 1
    assert f"cannot download {url}" in done.stderr
    assert "put it at downloads/an4_sphere.tar.gz" in done.stderr
    assert not list(place.glob("downloads/*.gz"))


def test_damaged_archive_leaves_nothing_behind(recipe, run, tmp_path):
    place = recipe("mini_an4/voc1")
    archive = tmp_path / "an4_sphere.tar.gz"
    an4_archive(archive)
    archive.write_bytes(archive.read_bytes()[:-300])
    done = run(place, "local/data.sh", "--full_corpus", "true", "--corpus_url", archive.as_uri())
    assert done.returncode == 1
    assert "cannot be unpacked" in done.stderr
    assert not list((place / "downloads").glob("*full*"))


# --------------------------------------------------------------------------------------------------------- ljspeech


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


# -------------------------------------------------------------------------------------------------------- audio_dir


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
