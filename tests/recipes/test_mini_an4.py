"""The 8 utterances of AN4 that ESPnet ships, and the whole corpus out of an archive laid out as it is."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpora import read_sets, speakers

from evagan_plugin.audio.io import load_audio


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
