"""The paper's corpora, on small trees: from the Hub to data directories; and all the way to a model, of real audio."""

import tarfile
import zipfile

import pytest
import yaml
from corpora import noise
from hub import Hub, serve
from mixes import RATE, lay_out, recordings, write_configs

from evagan_plugin.data.kaldi import DataDir

REPOS = {"music": "fish-audio-private/hifi-16kh", "speech": "fish-audio-private/playerfm-20000h"}


@pytest.fixture
def on_the_hub(tmp_path):
    """Both data sets: music as loose files and in a tar archive, speech in a zip archive and a folder."""
    folders = {name: tmp_path / "hub" / name for name in REPOS}
    for number in range(6):
        noise(folders["music"] / "albums" / f"song {number}.flac", 2)
        noise(folders["speech"] / "shows" / f"{number}.mp3", 3)
        noise(tmp_path / "packed" / f"more {number}.wav", 2)
    with tarfile.open(folders["music"] / "part-000.tar", "w") as archive:
        archive.add(tmp_path / "packed", "part")
    return {REPOS[name]: folder for name, folder in folders.items()}


def test_the_corpora_are_downloaded_unpacked_and_split(recipe, run, on_the_hub, tmp_path):
    place = recipe("hifi16kh_playerfm20kh/voc1")
    with serve(Hub(on_the_hub, token="hf_right")) as hub:
        environment = {**hub.environment, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_right"}
        done = run(place, "local/data.sh", "--part", "1/2", **environment)
        assert (done.returncode, "part 1/2 is downloaded" in done.stderr) == (0, True), done.stderr
        assert not (place / "data").exists()
        done = run(place, "local/data.sh", "--held_out", 1, **environment)
    assert done.returncode == 0, done.stderr
    music, speech = DataDir.read(place / "data" / "music"), DataDir.read(place / "data" / "speech")
    assert (len(music.wav), len(speech.wav)) == (10, 4)
    assert any("/part-000.tar.unpacked/part/more" in path for path in music.wav.values())
    test = DataDir.read(place / "data" / "test")
    assert sorted(test.category.values()) == ["music", "speech"]
    assert not set(test.utterances) & (set(music.wav) | set(speech.wav))
    # What stage 2 would do without effects.
    done = run(place, "./run.sh", "--stage", 2)
    assert (done.returncode, "there is no data/effects, a source of mix.yaml" in done.stderr) == (1, True)


def test_a_damaged_archive_and_a_missing_corpus_are_told(recipe, run, on_the_hub, tmp_path):
    place = recipe("hifi16kh_playerfm20kh/voc1")
    folder = on_the_hub[REPOS["music"]]
    archive = folder / "part-000.tar"
    archive.write_bytes(archive.read_bytes()[:5000])
    done = run(place, "python", "local/unpack.py", folder)
    assert (done.returncode, "part-000.tar, download it again: " in done.stderr) == (1, True)
    assert not list(folder.glob("*.unpacked"))
    done = run(place, "local/data.sh", "--corpora", tmp_path / "hub")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "hub/hifi-16kh: there is no such folder; hifi-16kh and playerfm-20000h lie in" in done.stderr


def test_a_folder_of_an_archives_name_and_another_archive_do_not_keep_it_packed(recipe, run, on_the_hub):
    place = recipe("hifi16kh_playerfm20kh/voc1")
    folder = on_the_hub[REPOS["music"]]
    noise(folder / "part-000" / "loose.wav", 2)
    with zipfile.ZipFile(folder / "part-000.zip", "w") as archive:
        archive.write(folder / "part-000" / "loose.wav", "zipped.wav")
    done = run(place, "python", "local/unpack.py", folder)
    assert done.returncode == 0, done.stderr
    names = {str(path.relative_to(folder)) for path in folder.glob("part-000*/**/*.wav")}
    assert names == {
        "part-000/loose.wav",
        "part-000.zip.unpacked/zipped.wav",
        *(f"part-000.tar.unpacked/part/more {number}.wav" for number in range(6)),
    }


@pytest.mark.slow
def test_from_the_corpora_to_a_model(recipe, run, shared_audio, tmp_path):
    """`python -m pytest -m slow tests/recipes/test_hifi16kh_playerfm20kh.py`: stages 1 to 3 with real audio in the
    place of the corpora's."""
    pytest.importorskip("espnet2", reason="espnet is not installed", exc_type=ImportError)
    place = recipe("hifi16kh_playerfm20kh/voc1")
    lay_out(tmp_path / "corpora" / "hifi-16kh", recordings(shared_audio, "music", 8))
    lay_out(tmp_path / "corpora" / "playerfm-20000h", recordings(shared_audio, "speech", 6, parts=4), ".mp3")
    lay_out(tmp_path / "effects", recordings(shared_audio, "effects", 8), ".wav")
    words = ["./run.sh", "--corpora", tmp_path / "corpora", "--effects_dir", tmp_path / "effects", "--held_out", 1]
    done = run(place, *words, *write_configs(place), "--stop_stage", 3)
    assert done.returncode == 0, done.stderr
    sources = yaml.safe_load((place / "mix.yaml").read_text())["sources"]
    for source in sources:
        kept = DataDir.read(place / "dump" / "curated" / source["name"] / "kept")
        assert set(DataDir.read(place / source["path"]).wav) == set(kept.utterances)
    podcasts = DataDir.read(place / "dump" / "speech")
    assert len(podcasts.wav) > 6, "podcasts are cut at pauses"
    assert all(float(seconds) <= 6.01 for seconds in podcasts.utt2dur.values())
    log = (place / "exp" / "voc_few" / "train.log").read_text()
    for source, share in (("music", "47.6190%"), ("speech", "47.6190%"), ("effects", "4.7619%")):
        assert f"{source} ({source}): {share} of the items" in log
    assert (place / "exp" / "voc_few" / "valid.mel.best.pth").is_file()
    assert f"{RATE} Hz" in done.stderr
