"""Sources of plain folders: what is trained on and what is held out have no recording in common."""

import numpy as np
import pytest
import soundfile

from evagan_plugin.audio.io import load_audio
from evagan_plugin.data.kaldi import DataDir
from evagan_plugin.data.sources import EXCERPT_SECONDS, folder_source, write_sources
from evagan_plugin.errors import UsageError

RATE = 8000


def write(path, seconds, level=0.1):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(0).uniform(-level, level, int(seconds * RATE)), RATE)


@pytest.fixture
def folder(tmp_path):
    """Twenty recordings of 2 or 12 s in two folders, a silent one, a very short one, and one that is none."""
    for number in range(20):
        write(tmp_path / "music" / f"album {number % 2}" / f"{number}.flac", 12 if number % 2 else 2.5)
    write(tmp_path / "music" / "silence.wav", 12, level=0)
    write(tmp_path / "music" / "click.wav", 0.5)
    (tmp_path / "music" / "broken.wav").write_bytes(b"RIFF")
    return tmp_path / "music"


def test_held_out_recordings_are_not_trained_on(folder):
    sets = folder_source("music", folder, held_out=2, seed=0)
    recordings = [set(sets[kind].wav) for kind in ("train", "dev", "test")]
    assert [len(one) for one in recordings] == [19, 2, 2]
    assert len(set.union(*recordings)) == 23
    assert {"music_silence", "music_click", "music_broken"} <= recordings[0], "nothing can be judged by these"
    for kind in ("dev", "test"):
        for utterance, segment in sets[kind].segments.items():
            seconds = soundfile.info(sets[kind].wav[segment.recording]).duration
            assert segment.end - segment.start == pytest.approx(EXCERPT_SECONDS if seconds > 10 else 2)
            assert segment.end <= seconds
            assert sets[kind].category[utterance] == "music"
    assert set(sets["train"].utt2spk.values()) == {"music_album_0", "music_album_1", "music_music"}
    assert folder_source("music", folder, held_out=2, seed=0) == sets
    assert folder_source("music", folder, held_out=2, seed=1) != sets
    assert len(folder_source("music", folder, held_out=50, seed=0)["test"].wav) == 2, "a tenth at most"


def test_sources_are_written_for_a_mix(folder, tmp_path):
    write(tmp_path / "speech" / "a.wav", 3)
    speech = {}
    for kind in ("train", "dev", "test"):
        name, path = f"speech_{kind}", str(tmp_path / "speech" / "a.wav")
        speech[kind] = DataDir(wav={name: path}, utt2spk={name: "speech_a"}, category={name: "speech"})
    write_sources(tmp_path / "data", {"music": folder_source("music", folder, 1, 0), "speech": speech})
    assert DataDir.read(tmp_path / "data" / "speech").wav == speech["train"].wav
    assert len(DataDir.read(tmp_path / "data" / "music").wav) == 21
    test = DataDir.read(tmp_path / "data" / "test")
    assert {name.partition("_")[0] for name in test.utterances} == {"music", "speech"}
    whole = test.segments["speech_test"]
    wav, rate = load_audio(test.wav[whole.recording])
    assert whole.bounds(wav.shape[1], rate) == (0, 3 * RATE)


def test_a_folder_of_which_nothing_can_be_held_out_is_told(tmp_path):
    for number in range(4):
        write(tmp_path / "silent" / f"{number}.wav", 2, level=0)
    with pytest.raises(UsageError, match="no recording for the set 'dev'"):
        folder_source("effects", tmp_path / "silent", 1, 0)
    write(tmp_path / "one" / "a.wav", 2)
    with pytest.raises(UsageError, match="1 recordings are too few for three sets"):
        folder_source("effects", tmp_path / "one", 1, 0)
