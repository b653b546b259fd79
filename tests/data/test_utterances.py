"""One reading of directories, tables and files: what counts, what it is called, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evagan_plugin.data.systems import read_source
from evagan_plugin.data.utterances import Utterance, files_below, find_utterances
from evagan_plugin.errors import EvaganError, UsageError


@pytest.fixture
def folder(tmp_path: Path):
    """Return a function that makes files below a directory of its own."""

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        return tmp_path / "in"

    return make


def ids(source: Path, features: bool = False) -> list[str]:
    return [utterance.utt_id for utterance in find_utterances(source, features)]


def test_a_flat_directory_gives_the_names_of_its_files(folder):
    assert ids(folder("b.WAV", "a.flac", "é+1.ogg", "notes.txt", "c.npy")) == ["a", "b", "é+1"]
    assert ids(folder(), features=True) == ["a", "b", "c", "é+1"]


def test_what_is_hidden_is_passed_over_at_any_depth(folder):
    root = folder("u.wav", "._u.wav", ".hidden.wav", "d/v.wav", "d/._v.wav", ".git/w.wav", "__MACOSX/._u.wav")
    assert sorted(ids(root)) == ["u", "v"]
    with pytest.raises(UsageError, match="no audio files"):
        find_utterances(root / "__MACOSX")


def test_links_are_followed_and_loops_are_not(folder, tmp_path):
    root = folder("spkB/b.wav", "real/c.wav")
    (tmp_path / "disk2" / "spkA").mkdir(parents=True)
    (tmp_path / "disk2" / "spkA" / "a.wav").write_bytes(b"")
    (tmp_path / "one.wav").write_bytes(b"")
    (root / "spkA").symlink_to(tmp_path / "disk2" / "spkA")
    (root / "linked.wav").symlink_to(tmp_path / "one.wav")
    (root / "spkB" / "up").symlink_to(root)
    (tmp_path / "disk2" / "spkA" / "back").symlink_to(root / "spkB")
    (root / "another").symlink_to(root / "real")
    assert files_below(root) == sorted(
        [root / "linked.wav", root / "real" / "c.wav", root / "spkA" / "a.wav", root / "spkB" / "b.wav"]
    )
    assert sorted(ids(root)) == ["a", "b", "c", "linked"]


def test_a_directory_that_cannot_be_read_is_told(folder, monkeypatch):
    root = folder("a.wav", "closed/b.wav")

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    real = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(EvaganError, match="closed: cannot be read: Permission denied"):
        files_below(root)


def test_names_that_repeat_get_their_folders(folder):
    assert sorted(ids(folder("s1/a.wav", "s2/a.wav", "s2/b.wav", "deep/er/a.wav"))) == [
        "b",
        "deep-er-a",
        "s1-a",
        "s2-a",
    ]


@pytest.mark.parametrize("names", [("a.wav", "a.flac"), ("s/a.wav", "a/s.ogg", "s/a.ogg"), ("x y.wav", "x_y.wav")])
def test_files_of_one_id_are_refused(folder, names):
    with pytest.raises(UsageError, match="one utterance id"):
        find_utterances(folder(*names))


@pytest.mark.parametrize("name", ["hello there.wav", " hello\tthere .wav", "hello\u2003there.wav", "hello\nthere.wav"])
def test_white_space_never_gets_into_an_id(folder, name):
    [utt_id] = ids(folder(name))
    assert utt_id.strip("_") == "hello_there" and not any(character.isspace() for character in utt_id)


def test_a_table_counts_before_files(folder, monkeypatch):
    root = folder("a.wav", "v.npy", "y.wav", "elsewhere/w.wav")
    monkeypatch.chdir(root)  # where relative paths count from
    (root / "feats.scp").write_text("u feats.ark:12\nv v.npy\n")
    wanted = [Utterance("u", "feats.ark:12", "frames_first"), Utterance("v", "v.npy", "frames_first")]
    assert find_utterances(root, features=True) == wanted
    assert ids(root) == ["a", "w", "y"], "features are no audio"
    (root / "wav.scp").write_text("w elsewhere/w.wav\n")
    for source in (root, root / "wav.scp"):
        for features in (True, False):
            assert find_utterances(source, features) == [Utterance("w", "elsewhere/w.wav")]
    (root / "mels.scp").write_text("x x.pt\ny y.wav\n")
    assert [utterance.layout for utterance in find_utterances(root / "mels.scp", features=True)] == [
        "frames_first",
        None,
    ]
    with pytest.raises(UsageError, match="audio is needed, not features"):
        find_utterances(root / "mels.scp")


def test_one_file_is_what_its_name_says(folder):
    root = folder("a b.wv1", "m.npy")
    assert find_utterances(root / "a b.wv1", features=True) == [Utterance("a_b", str(root / "a b.wv1"))]
    assert find_utterances(root / "m.npy", features=True) == [Utterance("m", str(root / "m.npy"), "bands_first")]
    for name in ("no_such_file.m4a", "nothing"):
        with pytest.raises(UsageError, match=f"there is no file or directory .*{name}"):
            find_utterances(root / name, features=True)


@pytest.fixture
def segmented(tmp_path: Path) -> Path:
    """Kaldi data directory of a recording of one second and its two halves."""
    soundfile.write(tmp_path / "rec1.wav", 0.1 * np.sin(np.arange(16000)), 16000)
    data = tmp_path / "data"
    data.mkdir()
    (data / "wav.scp").write_text(f"rec1 {tmp_path}/rec1.wav\n")
    (data / "segments").write_text("u1 rec1 0.00 0.50\nu2 rec1 0.50 1.00\n")
    return data


def test_segments_are_cut_by_format_and_refused_elsewhere(segmented, evagan, tmp_path):
    needed = f"{segmented} has segments: .* `evagan format {segmented} OUT_DIR --sample-rate HZ`"
    for source in (segmented, segmented / "wav.scp"):
        for read in (find_utterances, read_source):
            with pytest.raises(UsageError, match=needed):
                read(source)
    status, _, errors = evagan("format", segmented, tmp_path / "cut", "--sample-rate", 16000)
    assert status == 0, errors
    assert ids(tmp_path / "cut") == ["u1", "u2"]
    assert [soundfile.info(path).frames for path in read_source(tmp_path / "cut").values()] == [8000, 8000]


@pytest.mark.parametrize("command", ["synth MODEL {} out", "score {} x={}", "plot {} x={} --out a.png"])
def test_every_command_refuses_segments_alike(segmented, evagan, command, tmp_path):
    (tmp_path / "MODEL").mkdir()
    status, _, errors = evagan(*command.format(segmented, segmented).split())
    assert status == 2 and "evagan format" in errors and errors.count("\n") == 1


def test_format_takes_a_folder_of_audio(tmp_path, evagan):
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a b.wav", np.zeros(800), 16000)
    status, _, errors = evagan("format", tmp_path / "in", tmp_path / "out", "--sample-rate", 8000)
    assert status == 0, errors
    assert ids(tmp_path / "out") == ["a_b"]
