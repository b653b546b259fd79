"""Formatting of data directories: one rate, mono, 16 bits; broken files in one report; nothing done twice."""

import csv

import numpy as np
import pytest
import soundfile

from evagan_plugin.audio.io import load_audio
from evagan_plugin.data.formatting import JOURNAL, REPORT, format_data_dir
from evagan_plugin.data.kaldi import DataDir, read_table, write_table
from evagan_plugin.data.validation import validate_data_dir
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.utils.parts import Part

RATE = 16000


def noise(seconds: float, sample_rate: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (round(seconds * sample_rate), channels)).squeeze()


@pytest.fixture
def source(tmp_path):
    """A data directory of sound audio of several kinds, one file name with spaces."""
    audio = tmp_path / "audio"
    audio.mkdir()
    soundfile.write(audio / "plain.wav", noise(0.5), RATE, subtype="PCM_16")
    soundfile.write(audio / "two words.flac", noise(0.5, 44100, 2), 44100, subtype="PCM_24")
    soundfile.write(audio / "loud.wav", 3 * noise(0.25), RATE, subtype="FLOAT")
    wav = {"plain": audio / "plain.wav", "stereo": audio / "two words.flac", "loud": audio / "loud.wav"}
    directory = tmp_path / "data"
    write_table(directory / "wav.scp", wav)
    write_table(directory / "utt2spk", {"plain": "a", "stereo": "b", "loud": "a"})
    write_table(directory / "text", {"plain": "ONE TWO", "stereo": "X", "loud": "Y"})
    return directory


def add_utterance(source, utterance, path):
    for table, value in (("wav.scp", path), ("utt2spk", "z"), ("text", "Z")):
        with (source / table).open("a") as stream:
            stream.write(f"{utterance} {value}\n")


def report(target):
    with (target / REPORT).open() as stream:
        return {row["utterance"]: row for row in csv.DictReader(stream, delimiter="\t")}


def test_everything_becomes_mono_16_bit_of_one_rate(source, tmp_path):
    target = tmp_path / "dump"
    summary = format_data_dir(source, target, RATE, jobs=2)
    data = DataDir.read(target)
    assert data.utterances == ["loud", "plain", "stereo"]
    for utterance, path in data.wav.items():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_16")
        assert data.utt2num_samples[utterance] == str(info.frames)
        assert float(data.utt2dur[utterance]) == pytest.approx(info.frames / RATE, abs=1e-6)
    assert data.text["plain"] == "ONE TWO"
    assert (target / "spk2utt").read_text() == "a loud plain\nb stereo\n"
    original = load_audio(tmp_path / "audio" / "plain.wav")[0]
    np.testing.assert_array_equal(load_audio(data.wav["plain"])[0], original)
    rows = report(target)
    assert rows["plain"]["changes"] == ""
    assert rows["stereo"]["changes"] == "rounded PCM_24, downmixed 2 channels, resampled 44100 Hz"
    assert rows["loud"]["changes"].startswith("rounded FLOAT, clipped ")
    told = "\n".join(summary.lines())
    assert "3 of 3 utterances formatted" in told
    assert "resampled 44100 Hz: 1" in told
    assert "clipped: 1" in told


def test_what_is_said_of_utterances_is_carried_along(source, tmp_path):
    write_table(source / "utt2lang", {"plain": "en", "stereo": "nl", "loud": "en"})
    write_table(source / "utt2kind", {"plain": "speech", "stereo": "song", "loud": "speech"})
    write_table(source / "utt2category", {"plain": "1ch", "stereo": "2ch", "loud": "1ch"})
    (tmp_path / "audio" / "loud.wav").write_bytes(b"")
    format_data_dir(source, tmp_path / "dump", RATE, skip_broken=True)
    for table in ("utt2spk", "text", "utt2lang", "utt2kind", "utt2category"):
        before = read_table(source / table)
        assert read_table(tmp_path / "dump" / table) == {key: before[key] for key in ("plain", "stereo")}, table
    assert validate_data_dir(tmp_path / "dump").problems == []
    (source / "utt2lang").unlink()
    format_data_dir(source, tmp_path / "dump", RATE, skip_broken=True)
    assert not (tmp_path / "dump" / "utt2lang").exists(), "a table of the former source was left behind"


def test_second_run_does_only_what_changed(source, tmp_path):
    target = tmp_path / "dump"
    format_data_dir(source, target, RATE)
    first = {path.name: path.stat().st_mtime_ns for path in (target / "data").iterdir()}
    assert format_data_dir(source, target, RATE).kept == 3
    soundfile.write(tmp_path / "audio" / "plain.wav", noise(0.75), RATE)
    (target / "data" / "loud.wav").write_bytes((target / "data" / "loud.wav").read_bytes()[:200])
    assert format_data_dir(source, target, RATE).kept == 1
    second = {path.name: path.stat().st_mtime_ns for path in (target / "data").iterdir()}
    assert {name for name in first if first[name] != second[name]} == {"plain.wav", "loud.wav"}
    assert DataDir.read(target).utt2dur["plain"] == "0.750000"
    assert format_data_dir(source, target, 8000).kept == 0


def test_broken_files_are_listed_and_skipped_only_when_told(source, tmp_path):
    audio, target = tmp_path / "audio", tmp_path / "dump"
    format_data_dir(source, target, RATE)
    whole = (audio / "plain.wav").read_bytes()
    (audio / "cut.wav").write_bytes(whole[:-1000])
    (audio / "empty.wav").write_bytes(b"")
    soundfile.write(audio / "nan.wav", np.full(100, np.nan), RATE, subtype="FLOAT")
    soundfile.write(audio / "none.wav", noise(0), RATE)
    reasons = {"cut": "truncated", "empty": "empty file", "nan": "NaN", "none": "no samples", "gone": "No such file"}
    for utterance in reasons:
        add_utterance(source, utterance, audio / f"{utterance}.wav")
    summary = format_data_dir(source, target, RATE)
    assert {row.utterance for row in summary.broken} == set(reasons)
    assert not (target / "wav.scp").exists(), "the tables of the former run must not pass for this one's"
    rows = report(target)
    for utterance, reason in reasons.items():
        assert rows[utterance]["status"] == "broken"
        assert reason in rows[utterance]["reason"]
    assert format_data_dir(source, target, RATE, skip_broken=True).kept == 3
    assert DataDir.read(target).utterances == ["loud", "plain", "stereo"]


def test_nothing_but_broken_files_is_an_error_even_when_skipping(tmp_path):
    write_table(tmp_path / "data" / "wav.scp", {"a": tmp_path / "gone.wav"})
    with pytest.raises(EvaganError, match="all 1 utterances are broken"):
        format_data_dir(tmp_path / "data", tmp_path / "dump", RATE, skip_broken=True)
    assert not (tmp_path / "dump" / "wav.scp").exists()


def test_segments_are_cut_out(tmp_path):
    wav = noise(3)
    soundfile.write(tmp_path / "rec.wav", wav, RATE, subtype="PCM_16")
    source, target = tmp_path / "data", tmp_path / "dump"
    write_table(source / "wav.scp", {"rec": tmp_path / "rec.wav"})
    cuts = {"u1": "rec 0.5 1.25", "u2": "rec 2 -1", "u3": "rec 2.5 3.2", "late": "rec 3.5 4", "over": "rec 2 3.6"}
    write_table(source / "segments", cuts)
    summary = format_data_dir(source, target, RATE, skip_broken=True)
    assert {row.utterance for row in summary.broken} == {"late", "over"}
    data = DataDir.read(target)
    assert (data.segments, data.utt2num_samples) == ({}, {"u1": "12000", "u2": "16000", "u3": "8000"})
    np.testing.assert_allclose(load_audio(data.wav["u1"])[0][0], wav[8000:20000], atol=2**-15)
    assert format_data_dir(source, target, RATE, skip_broken=True).kept == 3


def test_sources_are_never_overwritten(source, tmp_path):
    with pytest.raises(UsageError, match="another one than the source"):
        format_data_dir(source, source, RATE)
    target = tmp_path / "dump"
    format_data_dir(source, target, RATE)
    again = tmp_path / "again"
    write_table(again / "wav.scp", DataDir.read(target).wav)
    with pytest.raises(UsageError, match="would be overwritten"):
        format_data_dir(again, target, RATE)


def test_unwritable_output_is_one_error(source, tmp_path):
    (tmp_path / "dump").write_text("a file where the directory should be")
    with pytest.raises(EvaganError, match="cannot write"):
        format_data_dir(source, tmp_path / "dump", RATE)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_parts_and_the_call_that_joins_them_give_the_files_of_one_call(source, tmp_path, count):
    format_data_dir(source, tmp_path / "one", RATE)
    for number in reversed(range(1, count + 1)):
        format_data_dir(source, tmp_path / "parts", RATE, part=Part(number, count))
        assert not (tmp_path / "parts" / "wav.scp").exists()
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts" / "data").iterdir()}
    assert format_data_dir(source, tmp_path / "parts", RATE).kept == 3
    assert {path: path.stat().st_mtime_ns for path in written} == written
    one, parts = contents(tmp_path / "one"), contents(tmp_path / "parts")
    assert len(one) == 10
    assert parts == {name: text.replace(b"/one/", b"/parts/") for name, text in one.items()}


def test_a_part_keeps_what_it_has_and_leaves_broken_audio_to_the_whole(source, tmp_path):
    add_utterance(source, "broken", tmp_path / "none.wav")
    target, part = tmp_path / "dump", Part(1, 1)
    assert len(format_data_dir(source, target, RATE, part=part).broken) == 1
    assert format_data_dir(source, target, RATE, part=part).kept == 3
    # What was done under another division is known, too; what a kill has cut short is done again.
    journal = part.file(target / JOURNAL)
    good = [line for line in journal.read_text().splitlines() if '"ok"' in line]
    journal.write_text("\n".join(good)[:-20])
    again = [format_data_dir(source, target, RATE, part=Part(number, 2)) for number in (1, 2)]
    assert sum(summary.kept for summary in again) == 2
    assert format_data_dir(source, target, RATE).kept == 3
    assert not (target / "wav.scp").exists()


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
