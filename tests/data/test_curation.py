"""Curation of a data directory: cut, measured, sorted by rules; broken files, kills, other processes."""

import csv
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from evagan_plugin.audio.fingerprint import has_fpcalc
from evagan_plugin.audio.io import load_audio
from evagan_plugin.config import load_section
from evagan_plugin.config.curation import CurationRules
from evagan_plugin.data.curation import curate as curation
from evagan_plugin.data.curation.curate import PartCounts, curate, curate_part
from evagan_plugin.data.curation.items import Item, cut, cut_places, read_stretch
from evagan_plugin.data.formatting import format_data_dir
from evagan_plugin.data.kaldi import DataDir, write_table
from evagan_plugin.data.validation import validate_data_dir
from evagan_plugin.errors import ConfigError, EvaganError, UsageError
from evagan_plugin.utils.parts import Part

RATE = 16000
OPEN = CurationRules(min_bandwidth=None, max_unreadable=1.0)


def noise(seconds: float, seed: int = 0, level: float = 0.1) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


@pytest.fixture
def source(tmp_path):
    """A directory of good, bad, broken and long recordings, with every table that passes through."""
    audio = tmp_path / "audio"
    audio.mkdir()
    long = np.concatenate([np.pad(noise(4.5, seed), (0, RATE // 2)) for seed in range(10)])
    waves = {
        "good": noise(2, 20),
        "short": noise(0.5, 21),
        "quiet": noise(2, 22, 1e-4),
        "offset": noise(2, 23) + 0.1,
        "clipped": np.clip(noise(2, 24), -0.15, 0.15),
        "long": long,
    }
    for name, wav in waves.items():
        soundfile.write(audio / f"{name}.wav", wav, RATE)
    (audio / "broken.wav").write_bytes(b"RIFF....WAVE")
    names = [*waves, "broken"]
    directory = tmp_path / "data"
    write_table(directory / "wav.scp", {name: audio / f"{name}.wav" for name in names})
    write_table(directory / "text", dict.fromkeys(names, "WORDS"))
    write_table(directory / "utt2spk", dict.fromkeys(names, "someone"))
    write_table(directory / "utt2lang", dict.fromkeys(names, "nl"))
    write_table(directory / "utt2category", dict.fromkeys(names, "speech"))
    return directory


def _here(make, items, jobs, work, crashed):
    return ((item, make(item)) for item in items)


@pytest.fixture(autouse=True)
def in_this_process(request, monkeypatch):
    """Measure in this process, without speech, where the test is not about processes: seconds instead of minutes."""
    if "processes" not in request.keywords:
        monkeypatch.setattr(curation, "in_processes", _here)
        monkeypatch.setattr(curation, "optional_measures", lambda: (False, []))


def table(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return {row["utt_id"]: row for row in csv.DictReader(stream, delimiter="\t")}


def contents(out):
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_each_rule_leaves_out_what_it_names(source, tmp_path):
    result = curate(source, tmp_path / "out", OPEN)
    left = {name: row["reason"] for name, row in table(tmp_path / "out" / "left_out.tsv").items()}
    assert set(left) == {"short", "quiet", "offset", "clipped", "broken"}
    assert left["short"] == "duration 0.5 is below min_duration 1"
    assert left["quiet"].startswith("silence 1 is above max_silence 0.7; loudness ")
    assert left["offset"].startswith("dc_offset 0.099")
    assert left["clipped"].startswith("clipping 0.")
    assert left["broken"].startswith("unreadable: ")
    assert set(result.unreadable) == {"broken"}
    rows = table(tmp_path / "out" / "curation.tsv")
    assert (rows["good"]["lang"], rows["good"]["category"], rows["good"]["speaker"]) == ("nl", "speech", "someone")
    assert float(rows["good"]["duration"]) == 2
    assert float(rows["good"]["bandwidth"]) == pytest.approx(8000, abs=300)


def test_a_long_recording_is_cut_in_its_pauses_and_format_reads_the_parts(source, tmp_path):
    curate(source, tmp_path / "out", OPEN)
    kept = DataDir.read(tmp_path / "out" / "kept")
    parts = [segment for name, segment in kept.segments.items() if name.startswith("long-")]
    assert len(parts) >= 2
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert (parts[0].start, parts[-1].end) == (0, 50)
    assert all(3 <= part.end - part.start <= 30 for part in parts)
    assert all(part.end % 5 >= 4.5 or part.end % 5 == 0 for part in parts), "cut in a pause"
    assert "good" in kept.text
    assert not any(name.startswith("long-") for name in kept.text), "a transcript of the whole is none of a part"
    assert kept.utt2spk == dict.fromkeys(kept.segments, "someone")
    assert kept.lang == dict.fromkeys(kept.segments, "nl")
    assert kept.batch_category == dict.fromkeys(kept.segments, "speech")
    assert validate_data_dir(tmp_path / "out" / "kept").problems == []
    summary = format_data_dir(tmp_path / "out" / "kept", tmp_path / "dump", RATE)
    assert not summary.broken
    formatted = DataDir.read(tmp_path / "dump")
    for table in ("utt2spk", "text", "lang", "batch_category"):
        assert getattr(formatted, table) == getattr(kept, table), table
    whole = load_audio(kept.wav["long"])[0][0]
    pieces = [load_audio(tmp_path / "dump" / "data" / f"{row.utterance}.wav")[0][0] for row in summary.rows]
    assert sum(map(len, pieces)) == len(whole) + 2 * RATE
    assert DataDir.read(tmp_path / "out" / "kept").utt2dur["good"] == "2.000000"


def test_what_needs_no_cut_is_kept_as_plain_wav_scp(source, tmp_path):
    data = DataDir.read(source).subset({"good", "short"})
    data.write(tmp_path / "plain")
    curate(tmp_path / "plain", tmp_path / "out", CurationRules(min_duration=None))
    kept = DataDir.read(tmp_path / "out" / "kept")
    assert not kept.segments
    assert kept.wav == data.wav


def test_segments_are_items(source, tmp_path):
    data = DataDir.read(source)
    write_table(tmp_path / "data2" / "wav.scp", {"rec": data.wav["long"]})
    (tmp_path / "data2" / "segments").write_text("a rec 0 4\nb rec 5.25 9\nc rec 60 61\n")
    result = curate(tmp_path / "data2", tmp_path / "out", OPEN)
    kept = DataDir.read(tmp_path / "out" / "kept")
    assert (kept.segments["b"].start, kept.segments["b"].end) == (5.25, 9)
    assert "is not inside the recording of 50.000 s" in result.unreadable["c"]


def test_cuts_respect_their_limits_whatever_the_sound():
    for seed in range(5):
        levels = np.random.default_rng(seed).uniform(-80, 0, 20000 + 777 * seed)
        places = np.array([0, *cut_places(levels, 3, 30), len(levels) / 100])
        assert np.all((np.diff(places) >= 3 - 1e-9) & (np.diff(places) <= 30 + 1e-9))


@pytest.mark.parametrize("rate", [11025, 22050, 16000])
def test_cuts_lie_in_the_pauses_at_every_sample_rate(tmp_path, rate):
    """10 ms are no whole number of samples at 11025 and 22050 Hz."""
    sound = 0.1 * np.random.default_rng(0).standard_normal((120, 5 * rate))
    sound[:, round(4.5 * rate) :] = 0
    soundfile.write(tmp_path / "long.wav", sound.ravel(), rate)
    parts = cut(Item("long", str(tmp_path / "long.wav"), utterance="long"), CurationRules())
    assert (parts[0].start, parts[-1].end) == (0, 600)
    assert all(part.end % 5 >= 4.5 or part.end == 600 for part in parts), "cut in a pause"
    assert all(3 <= part.end - part.start <= 30 for part in parts)


@pytest.mark.parametrize("suffix", ["mp3", "ogg"])
def test_a_stretch_is_that_of_the_whole_where_seeking_ends_up_beside_the_place(tmp_path, suffix):
    seconds = np.arange(20 * RATE) / RATE
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * (300 + 20 * seconds) * seconds), RATE)
    whole = load_audio(path)[0]
    for start, end in ((3.21, 5.0), (19.9, -1.0)):
        wav, rate, _ = read_stretch(Item("a", str(path), start, end))
        assert rate == RATE
        length = round(5 * RATE) - round(start * RATE) if end > 0 else whole.shape[1] - round(start * RATE)
        expected = whole[:, round(start * RATE) : round(start * RATE) + length]
        np.testing.assert_allclose(wav[:, : expected.shape[1]], expected[:, : wav.shape[1]], atol=1e-6)


@pytest.mark.parametrize("suffix", ["mp3", "ogg"])
def test_compressed_recordings_are_cut_in_their_pauses(source, tmp_path, suffix):
    soundfile.write(tmp_path / f"long.{suffix}", load_audio(DataDir.read(source).wav["long"])[0][0], RATE)
    parts = cut(Item("long", str(tmp_path / f"long.{suffix}"), utterance="long"), CurationRules())
    assert len(parts) >= 2
    assert all(part.end % 5 >= 4.45 for part in parts[:-1])


def test_other_rules_measure_nothing_again_and_the_same_call_gives_the_same_bytes(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    curate(source, out, OPEN)
    before = contents(out)
    monkeypatch.setattr(curation, "measure_item", lambda task: pytest.fail(f"{task.item.utt_id} measured again"))
    curate(source, out, OPEN)
    assert contents(out) == before
    curate(source, out, CurationRules(min_bandwidth=None, max_unreadable=1.0, min_duration=None))
    assert "short" in DataDir.read(out / "kept").segments


def test_a_part_measures_nothing_again_that_a_whole_run_has(source, tmp_path, monkeypatch):
    curate(source, tmp_path / "out", OPEN)
    monkeypatch.setattr(curation, "measure_item", lambda task: pytest.fail(f"{task.item.utt_id} measured again"))
    counts = [curate_part(source, tmp_path / "out", OPEN, Part(number, 2)) for number in (1, 2)]
    assert all(isinstance(one, PartCounts) for one in counts) and sum(one.readable for one in counts) > 0


def test_a_changed_file_is_measured_again(source, tmp_path):
    out = tmp_path / "out"
    curate(source, out, OPEN)
    soundfile.write(DataDir.read(source).wav["good"], noise(3, 30), RATE)
    curate(source, out, OPEN)
    assert float(table(out / "curation.tsv")["good"]["duration"]) == 3


@pytest.mark.skipif(not has_fpcalc(), reason="fpcalc is not installed")
def test_copies_are_left_out_within_and_across_sources(source, tmp_path):
    data = DataDir.read(source)
    long, rate = load_audio(data.wav["long"])
    stretch = long[0, : 8 * rate]
    soundfile.write(tmp_path / "a.wav", stretch, rate)
    soundfile.write(tmp_path / "b.ogg", 0.5 * stretch, rate)
    write_table(tmp_path / "copies" / "wav.scp", {"a": tmp_path / "a.wav", "b": tmp_path / "b.ogg"})
    curate(tmp_path / "copies", tmp_path / "first", OPEN)
    left = table(tmp_path / "first" / "left_out.tsv")
    assert {name: row["reason"] for name, row in left.items()} == {"b": "sounds like a"}
    write_table(tmp_path / "other" / "wav.scp", {"c": tmp_path / "b.ogg", "good": data.wav["offset"]})
    curate(tmp_path / "other", tmp_path / "second", CurationRules(max_dc_offset=None), against=[tmp_path / "first"])
    assert table(tmp_path / "second" / "left_out.tsv")["c"]["reason"] == f"sounds like {tmp_path / 'first'}:a"


def test_parts_together_give_the_bytes_of_one_run(source, tmp_path):
    curate(source, tmp_path / "one", OPEN)
    for number in (1, 2, 3):
        curate_part(source, tmp_path / "three", OPEN, Part(number, 3))
    assert not (tmp_path / "three" / "curation.tsv").exists()
    curate(source, tmp_path / "three", OPEN)
    one, three = contents(tmp_path / "one"), contents(tmp_path / "three")
    assert {name: three.get(name) for name in one} == one


def test_too_many_unreadable_are_refused_and_nothing_is_written(source, tmp_path):
    data = DataDir.read(source)
    write_table(tmp_path / "bad" / "wav.scp", {f"u{n}": data.wav["broken"] for n in range(3)} | {"v": data.wav["good"]})
    with pytest.raises(EvaganError, match=r"3 of 4 items are unreadable, more than max_unreadable 0.01 allows; .*u0"):
        curate(tmp_path / "bad", tmp_path / "out", CurationRules())
    assert not (tmp_path / "out" / "curation.tsv").exists()


def test_max_unreadable_0_lets_none_through(source, tmp_path):
    with pytest.raises(EvaganError, match=r"1 of 12 items are unreadable, more than max_unreadable 0 allows"):
        curate(source, tmp_path / "out", CurationRules(min_bandwidth=None, max_unreadable=0.0))


def test_a_part_counts_and_refuses_nothing(source, tmp_path, monkeypatch):
    monkeypatch.setattr(curation, "sort_out", lambda *_: pytest.fail("a part has no duplicates"))
    data = DataDir.read(source)
    write_table(tmp_path / "bad" / "wav.scp", {f"u{n}": data.wav["broken"] for n in range(3)} | {"v": data.wav["good"]})
    strict = CurationRules(max_unreadable=0.0)
    found = [curate_part(tmp_path / "bad", tmp_path / "out", strict, Part(number, 2)) for number in (1, 2)]
    assert PartCounts(1, 0) in found or PartCounts(1, 3) in found
    assert (sum(part.readable for part in found), sum(part.unreadable for part in found)) == (1, 3)


def test_nothing_readable_is_said_so(source, tmp_path):
    data = DataDir.read(source)
    write_table(tmp_path / "bad" / "wav.scp", {"u": data.wav["broken"]})
    with pytest.raises(EvaganError, match=r"^no item can be read: see .*left_out\.tsv"):
        curate(tmp_path / "bad", tmp_path / "out", OPEN)


def test_rules_that_leave_nothing_say_so(source, tmp_path):
    with pytest.raises(EvaganError, match="the rules leave out every item of"):
        curate(source, tmp_path / "out", CurationRules(min_bandwidth=9000, max_unreadable=1.0))


def test_what_crashes_native_code_is_unreadable_and_not_tried_again(source, tmp_path, monkeypatch):
    def in_processes(make, items, jobs, work, crashed):
        for item in items:
            utterance = getattr(item, "item", item).utterance
            assert utterance not in tried
            yield item, crashed(item, "Segmentation fault") if utterance == "good" else make(item)

    tried = set()
    monkeypatch.setattr(curation, "in_processes", in_processes)
    result = curate(source, tmp_path / "out", OPEN)
    assert result.unreadable["good"].endswith("audio/good.wav: the process that read it crashed: Segmentation fault")
    tried.update(["good"])
    assert curate(source, tmp_path / "out", OPEN).unreadable == result.unreadable


def test_what_an_earlier_run_kept_goes_with_its_rules(source, tmp_path):
    curate(source, tmp_path / "out", OPEN)
    with pytest.raises(EvaganError, match="leave out every item"):
        curate(source, tmp_path / "out", CurationRules(min_bandwidth=9000, max_unreadable=1.0))
    with pytest.raises(UsageError, match=r"has no wav\.scp"):
        DataDir.read(tmp_path / "out" / "kept")


def test_a_rerun_that_ends_in_the_middle_leaves_no_finished_directory(source, tmp_path, monkeypatch):
    curate(source, tmp_path / "out", OPEN)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(curation, "_write_kept", interrupted)
        curate(source, tmp_path / "out", CurationRules(min_bandwidth=None, max_unreadable=1.0, min_duration=None))
    assert not (tmp_path / "out" / "kept" / "wav.scp").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("min_bandwith: 3", "unknown config field 'min_bandwith': did you mean 'min_bandwidth'?"),
        ("min_loudness: -10\nmax_loudness: -20", "min_loudness is above max_loudness"),
        ("longest_cut: 5", "longest_cut must be at least twice shortest_cut"),
        ("refuse_cut_by: [edges]", "refuse_cut_by"),
        ("max_clipping: 2", "max_clipping"),
    ],
)
def test_wrong_rules_are_named(tmp_path, text, message):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_section(CurationRules, path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_the_template_states_the_defaults(repository):
    assert load_section(CurationRules, repository / "egs/TEMPLATE/voc1/conf/curation.yaml") == CurationRules()


@pytest.mark.slow
def test_a_run_that_is_killed_at_twenty_random_moments_ends_in_the_same_bytes(source, tmp_path):
    start = time.monotonic()
    curate(source, tmp_path / "whole", OPEN)
    took = time.monotonic() - start
    whole, draw = contents(tmp_path / "whole"), random.Random()
    for number in range(20):
        out = tmp_path / f"killed{number // 4}"  # the first moment of four finds nothing, the others what was left
        child = os.fork()
        if not child:
            try:
                curate(source, out, OPEN)
            finally:
                os._exit(0)
        time.sleep(draw.uniform(0, took))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        # A directory that is there is finished.
        assert not (out / "kept" / "wav.scp").exists() or contents(out / "kept") == contents(
            tmp_path / "whole" / "kept"
        )
        if number % 4 == 3:
            curate(source, out, OPEN)
            assert contents(out) == whole


def test_a_full_disk_is_one_line_and_a_run_with_more_room_goes_on(source, tmp_path, small_disk):
    disk = small_disk("16k")
    out = disk.folder / "out"
    with pytest.raises(EvaganError, match=r"cannot write .*/disk/.*: No space left on device$"):
        curate(source, out, OPEN)
    assert not (out / "kept").exists()
    disk.resize("20m")
    curate(source, out, OPEN)
    curate(source, tmp_path / "fresh", OPEN)
    assert contents(out) == contents(tmp_path / "fresh")


@pytest.mark.slow
@pytest.mark.processes
def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(source, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("min_bandwidth: off\nmax_unreadable: 1.0\n")
    code = "from evagan_plugin.cli import main; main()"

    def start(out):
        command = [sys.executable, "-c", code, "curate", source, out, "--rules", rules, "--nj", "2"]
        return subprocess.Popen(list(map(str, command)), start_new_session=True, stderr=subprocess.PIPE, text=True)

    whole = start(tmp_path / "whole")
    assert whole.wait(600) == 0, whole.stderr.read()
    expected = contents(tmp_path / "whole")
    out, journal = tmp_path / "killed", tmp_path / "killed" / "measured.jsonl"

    def lines():
        return journal.read_bytes().count(b"\n") if journal.exists() else 0

    seen = 0
    for wanted in (1, 8, 10):
        run = start(out)
        while lines() < wanted and run.poll() is None:
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        assert lines() >= seen, "nothing that was done is lost"
        seen = lines()
        assert not (out / "curation.tsv").exists() or contents(out) == expected
    last = start(out)
    assert last.wait(600) == 0, last.stderr.read()
    assert contents(out) == expected
