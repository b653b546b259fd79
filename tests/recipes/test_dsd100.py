"""Drawing items of DSD100, on a small tree laid out as the corpus is."""

import shutil
from pathlib import Path

import pytest
from corpora import noise

from evagan_plugin.data.kaldi import DataDir

CATEGORIES = ("bass", "drums", "vocals", "other", "mixture")


@pytest.fixture
def dsd100(tmp_path):
    """DSD100's tree: Mixtures/PART/SONG/mixture.wav and Sources/PART/SONG/STEM.wav, stereo; one song has no singing."""
    corpus = tmp_path / "DSD100"
    for number, part in enumerate(("Dev", "Test")):
        for song in range(3):
            name = f"0{50 * number + song:02} - Some Band - Song (live) {song}"
            for stem in CATEGORIES[:4]:
                level = 0.0 if (stem, song) == ("vocals", 0) else 0.1
                noise(corpus / "Sources" / part / name / f"{stem}.wav", 7, channels=2, level=level)
            noise(corpus / "Mixtures" / part / name / "mixture.wav", 7, channels=2)
    return corpus


def test_dsd100_is_drawn_by_seed(recipe, run, dsd100):
    place = recipe("dsd100/voc1")
    words = ["local/data.sh", "--corpus_dir", dsd100, "--items", 4]
    done = run(place, *words)
    assert done.returncode == 0, done.stderr
    data = DataDir.read(place / "data" / "test")
    assert sorted(data.category.values()) == sorted(CATEGORIES * 4)
    for utterance, segment in data.segments.items():
        assert 0 <= segment.start < segment.end <= 7
        assert segment.end - segment.start == pytest.approx(5)
        path = Path(data.wav[segment.recording])
        assert (path.stem, path.parts[-3]) == (data.category[utterance], "Test")
    songs = {utterance: song for utterance, song in data.utt2spk.items() if utterance.startswith("drums")}
    assert len(set(songs.values())) == 3, "every song before one comes again"
    assert not any(song.startswith("050") for key, song in data.utt2spk.items() if key.startswith("vocals")), "silence"
    assert run(place, *words).returncode == 0
    assert DataDir.read(place / "data" / "test") == data
    assert run(place, *words, "--data_seed", 1, "--parts", "Dev Test").returncode == 0
    other = DataDir.read(place / "data" / "test")
    assert other.segments != data.segments
    assert {Path(path).parts[-3] for path in other.wav.values()} == {"Dev", "Test"}


def test_a_wrong_dsd100_is_told(recipe, run, dsd100):
    place = recipe("dsd100/voc1")
    assert "--model is needed" in run(place, "./run.sh").stderr
    done = run(place, "./run.sh", "--model", "none.pth", "--corpus_dir", dsd100)
    assert (done.returncode, "there is no none.pth; --model names a trained model" in done.stderr) == (2, True)
    shutil.rmtree(dsd100 / "Sources" / "Test")
    done = run(place, "local/data.sh", "--corpus_dir", dsd100)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Sources/Test: there is no such directory; DSD100 has Mixtures/" in done.stderr
    for damage in (b"", b"RIFF", b"no audio, but text"):
        for path in (dsd100 / "Sources" / "Dev").glob("*/bass.wav"):
            path.write_bytes(damage)
        done = run(place, "local/data.sh", "--corpus_dir", dsd100, "--parts", "Dev")
        assert (done.returncode, done.stderr.count("bass.wav: ")) == (1, 1) and "unpack DSD100.zip again" in done.stderr
    for path in (dsd100 / "Sources" / "Dev").glob("*/bass.wav"):
        noise(path, 7, channels=2)
    for path in (dsd100 / "Sources" / "Dev").glob("*/drums.wav"):
        noise(path, 7, level=0.0)
    done = run(place, "local/data.sh", "--corpus_dir", dsd100, "--parts", "Dev")
    assert (done.returncode, "drums: no 5 s above -50 dB in 3 songs" in done.stderr) == (1, True)
