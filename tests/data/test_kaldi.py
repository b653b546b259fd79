"""Kaldi data directories: malformed ones are told by file and line, sound ones survive a round trip."""

from pathlib import Path

import pytest

from evagan_plugin.data.index import open_dir
from evagan_plugin.data.kaldi import DataDir, Segment, check_relative, read_scp, read_table, write_table
from evagan_plugin.errors import UsageError


@pytest.fixture
def scp(tmp_path):
    def write(text, name="wav.scp"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_file_names_may_hold_spaces_and_blank_lines_are_skipped(scp):
    path = scp("b /audio/two  words.wav\r\n\n a\t/audio/ä.wav \n")
    assert read_scp(path) == {"b": "/audio/two  words.wav", "a": "/audio/ä.wav"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a 1.wav\nb\n", r"wav\.scp:2: 'b' has nothing after it"),
        ("a 1.wav\nb   \n", r"wav\.scp:2: 'b' has nothing after it"),
        ("a 1.wav\nb 2.wav\na 3.wav\n", r"wav\.scp:3: duplicate id 'a', first on line 1"),
        ("../a 1.wav\n", r"wav\.scp:1: id '../a' cannot name a file"),
        (".a 1.wav\n", r"wav\.scp:1: id '.a' cannot name a file"),
        ("a sph2pipe -f wav a.sph |\n", r"'a' is a pipe .* not run: convert"),
        ("\n \n", "no utterances"),
        (b"a 1.wav\nb \xff.wav\n", r"not UTF-8 text \(byte 10\)"),
    ],
)
def test_malformed_scp_is_refused(scp, text, reason):
    with pytest.raises(UsageError, match=reason) as caught:
        read_scp(scp(text))
    assert "\n" not in str(caught.value)


def test_missing_scp_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"wav\.scp: cannot be read: No such file"):
        read_scp(tmp_path / "wav.scp")


def test_relative_paths_from_elsewhere_name_where_they_count_from(scp, tmp_path, monkeypatch):
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.chdir(place)
    table = scp("a wav/a.wav\nb wav/b.wav\nc /audio/c.wav\n")
    with pytest.raises(UsageError, match=r"wav/a\.wav is not there, nor is any other of its 2 relative paths") as told:
        check_relative(table, read_scp(table).values())
    assert str(told.value).endswith(f"they count from where you stand, {place}")
    (tmp_path / "wav").mkdir()
    (tmp_path / "wav/a.wav").touch()
    with pytest.raises(UsageError, match=f"{place}: cd {tmp_path}$"):
        check_relative(table, read_scp(table).values())
    (place / "wav").mkdir()
    (place / "wav/b.wav").touch()  # what one file lacks costs that one
    check_relative(table, read_scp(table).values())


def test_every_reader_says_so_and_leaves_nothing(tmp_path, monkeypatch, evagan):
    monkeypatch.chdir(tmp_path)
    for folder in ("here/data", "here/wav"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "here/wav/a.wav").touch()
    (tmp_path / "here/data/wav.scp").write_text("a wav/a.wav\n")
    (tmp_path / "here/data/utt2dur").write_text("a 1.0\n")
    data = "here/data"
    for command in (
        ("format", data, "out", "--sample-rate", 16000),
        ("synth", "eva_gan_tiny_16k", data, "out"),
        ("score", data, f"x={data}", "--metrics", "log_mel_l1", "--out", "out"),
        ("listen", "create", f"x={data}", "--reference", data, "--out", "out"),
        ("curate", data, "out"),
    ):
        status, _, errors = evagan(*command)
        assert status == 2 and errors.endswith(f"{tmp_path}: cd {tmp_path}/here\n") and errors.count("\n") == 1
        assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match=f"cd {tmp_path}/here$"):
        open_dir(Path(data), tmp_path / "index")


def test_tables_are_sorted_as_kaldi_sorts(tmp_path):
    write_table(tmp_path / "t", {"b": 1, "B": 2, "é": 3, "a-1": 4, "a": 5})
    assert (tmp_path / "t").read_text(encoding="utf-8") == "B 2\na 5\na-1 4\nb 1\né 3\n"
    assert read_table(tmp_path / "t")["é"] == "3"


@pytest.mark.parametrize("value", ["", " a.wav", "a.wav ", "a\nb.wav", "\udce4.wav"])
def test_values_that_would_not_be_read_back_are_not_written(tmp_path, value):
    with pytest.raises(UsageError, match=r"of 'u' cannot stand in a table"):
        write_table(tmp_path / "wav.scp", {"u": value})
    assert not (tmp_path / "wav.scp").exists()


def test_directory_round_trip(tmp_path):
    data = DataDir(
        wav={"b-1": "/x y.wav", "a-1": "/z.wav", "a-2": "/v.wav"},
        utt2spk={"b-1": "b", "a-1": "a", "a-2": "a"},
        text={"b-1": "HELLO THERE", "a-1": "ONE", "a-2": "TWO"},
        lang={"b-1": "en", "a-1": "nl", "a-2": "nl"},
    )
    data.write(tmp_path)
    assert DataDir.read(tmp_path) == data
    assert (tmp_path / "spk2utt").read_text() == "a a-1 a-2\nb b-1\n"
    assert data.subset(["b-1"]).text == {"b-1": "HELLO THERE"}
    assert not (tmp_path / "feats.scp").exists()
    DataDir(wav=data.wav).write(tmp_path)
    assert not (tmp_path / "text").exists(), "a table of the former directory was left behind"
    assert (tmp_path / "utt2spk").read_text() == "a-1 a-1\na-2 a-2\nb-1 b-1\n"


def test_segments_name_the_utterances(tmp_path, scp):
    scp("rec /r.wav\nother /o.wav\n")
    scp("u1 rec 0 1.5\nu2 rec 2 -1\n", "segments")
    data = DataDir.read(tmp_path)
    assert data.utterances == ["u1", "u2"]
    assert data.segments["u2"] == Segment("rec", 2.0, -1.0)
    assert data.subset(["u1"]).wav == {"rec": "/r.wav"}


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("utt2spk", "a s\n", r"utt2spk: 1 utterances are not in it: b"),
        ("utt2lang", "a en\n", r"utt2lang: 1 utterances are not in it: b"),
        ("text", "a x\nb y\nc z\n", r"text: 1 utterances have no audio: c"),
        ("segments", "u nowhere 0 1\n", r"recordings that wav\.scp lacks: nowhere"),
        ("segments", "u a 0\n", r"is not '<utterance> <recording> <start> <end>'"),
        ("segments", "u a 2 1\n", r"begins at 2 s and ends at 1 s"),
        ("segments", "u a nan 1\n", r"begins at nan s"),
        ("segments", "u a zero 1\n", r"is not '<utterance>"),
    ],
)
def test_tables_that_disagree_are_refused(tmp_path, scp, name, text, reason):
    scp("a 1.wav\nb 2.wav\n")
    scp(text, name)
    with pytest.raises(UsageError, match=reason):
        DataDir.read(tmp_path)


def test_directory_without_audio_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"has no wav\.scp"):
        DataDir.read(tmp_path)
    with pytest.raises(UsageError, match="is not a directory"):
        DataDir.read(tmp_path / "nowhere")


def test_a_directory_is_unfinished_until_its_last_table_is_written(tmp_path, monkeypatch):
    DataDir(wav={"a": "a.wav"}).write(tmp_path)

    def interrupted(path, text):
        raise KeyboardInterrupt

    monkeypatch.setattr("evagan_plugin.data.kaldi.write_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        DataDir(wav={"r": "r.wav"}, segments={"b": Segment("r", 0.0, 1.0)}).write(tmp_path)
    assert not (tmp_path / "wav.scp").exists()


def test_directories_merge_with_the_tables_that_all_have():
    one = DataDir(wav={"a": "a.wav"}, utt2spk={"a": "ann"}, text={"a": "yes"}, lang={"a": "en"})
    rec = DataDir(wav={"r": "r.wav"}, utt2spk={"b": "bob"}, segments={"b": Segment("r", 1.0, 2.0)})
    merged = DataDir.merged([one, rec])
    merged.check()
    assert merged == DataDir(
        wav={"a": "a.wav", "r": "r.wav"},
        utt2spk={"a": "ann", "b": "bob"},
        text={"a": "yes"},
        segments={"a": Segment("a", 0.0, -1.0), "b": Segment("r", 1.0, 2.0)},
    )
