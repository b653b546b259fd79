"""Texts that users bring: a byte order mark and CRLF are read, other encodings refused in one line, everywhere."""

from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from evagan_plugin.config import read_settings
from evagan_plugin.data.formatting import REPORT
from evagan_plugin.data.kaldi import DataDir, read_table, read_wav_scp
from evagan_plugin.data.systems import read_categories
from evagan_plugin.errors import UsageError
from evagan_plugin.evaluation.scores import load_figures
from evagan_plugin.listening.design.options import read_consent
from evagan_plugin.utils.files import read_text

WAV = "u1 /tmp/été.wav\nu2 /tmp/b.wav\n"
FIGURES = '{"systems": {"é":\n {"metrics": {"m": {"value": 1}}}}}\n'
READERS: dict[str, tuple[Callable, str]] = {
    "wav.scp": (read_wav_scp, WAV),
    "utt2spk": (read_table, "u1 André\nu2 b\n"),
    "manifest.tsv": (read_categories, "utt_id\tcategory\nu1\tmélodie\nu2\tspeech\n"),
    "consent.txt": (read_consent, "Je suis\nd'accord, André.\n"),
    "config.yaml": (read_settings, "a: 1\nb: é\n"),
    "config.json": (read_settings, '{"a": 1,\n"b": "é"}\n'),
    "scores.json": (load_figures, FIGURES),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("change", ["mark", "crlf", "mark and crlf", "cr"])
def test_marks_and_line_ends_make_no_difference(name, change, tmp_path):
    read, text = READERS[name]
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    expected = read(path)
    changed = text.replace("\n", "\r\n" if "crlf" in change else "\r" if change == "cr" else "\n")
    path.write_bytes(changed.encode("utf-8-sig" if "mark" in change else "utf-8"))
    assert read(path) == expected


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-16", "but UTF-16 from line 1"),
        ("utf-16-be", "a zero byte on line 1, as in UTF-16"),
        ("cp1252", "but perhaps Windows-1252, on line"),
    ],
)
def test_another_encoding_is_refused_with_its_name_and_line(name, encoding, words, tmp_path):
    read, text = READERS[name]
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    with pytest.raises(UsageError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: not UTF-8 text") and words in message and "\n" not in message
    if encoding == "cp1252":
        line = text[: text.index("é")].count("\n") + 1
        assert f"on line {line}:" in message


@pytest.mark.parametrize("name", ["none", "folder", "zero\0byte"])
def test_what_cannot_be_read_is_one_line(name, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="cannot be read") as caught:
        read_text(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_an_empty_transcript_stops_nothing_that_needs_none(tmp_path, evagan):
    source = tmp_path / "data"
    source.mkdir()
    for name in ("u1", "u2", "u3"):
        soundfile.write(source / f"{name}.wav", np.full(8000, 0.1), 16000)
    (source / "wav.scp").write_text("".join(f"u{n} {source}/u{n}.wav\n" for n in (1, 2, 3)))
    (source / "text").write_text("u1 a word\nu2\nu3 \n")
    assert DataDir.read(source).text == {"u1": "a word"}
    status, _, err = evagan("format", source, tmp_path / "out", "--sample-rate", 16000)
    assert status == 0, err
    assert DataDir.read(tmp_path / "out").text == {"u1": "a word"}
    (source / "text").write_text("u1 a word\nu1\n")
    with pytest.raises(UsageError, match=r"text:2: duplicate id 'u1', first on line 1"):
        DataDir.read(source)


def test_a_report_that_somebody_has_cut_is_made_anew(tmp_path, evagan):
    source = tmp_path / "source"
    source.mkdir()
    soundfile.write(source / "u1.wav", np.full(8000, 0.1), 16000)
    for change in (str, lambda text: text[:-9], lambda text: text + "u9\tok\n", lambda text: "\ufeff" + text):
        path = tmp_path / "out" / REPORT
        if path.exists():
            path.write_text(change(path.read_text()))
        status, _, err = evagan("format", source, tmp_path / "out", "--sample-rate", 16000)
        assert status == 0, err
        assert [line.split("\t")[0] for line in path.read_text().splitlines()] == ["utterance", "u1"]
