"""Shards of a data directory: what is in them, and that the same call gives the same bytes however it was stopped."""

import csv
import io
import json
import os
import random
import re
import signal
import tarfile
import time
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from evagan_plugin.audio.bandwidth import measure_band
from evagan_plugin.audio.io import PCM_SCALE, downmix, load_audio, quantise, resample
from evagan_plugin.config.curation import CurationRules
from evagan_plugin.data.curation import curate as curation
from evagan_plugin.data.kaldi import DataDir, write_table
from evagan_plugin.data.shards import shard as sharding
from evagan_plugin.data.shards.shard import Counts, shard_data_dir, shard_part
from evagan_plugin.data.shards.tar import INDEX, Entry
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.utils.parts import Part

RATE, WANTED = 16000, 12000
SHARD_MB = 0.1
"""Four seconds at the wanted rate."""
SHARE = 0.2


def noise(seconds: float, seed: int, channels: int = 1, rate: int = RATE) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * rate), channels))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twelve utterances: files of one and two channels and of several rates, and stretches of a longer one."""
    folder = tmp_path / "data"
    audio = tmp_path / "audio"
    audio.mkdir()
    waves = {f"u{n}": (noise(0.6 + 0.1 * n, n, 1 + n % 2), RATE) for n in range(8)}
    waves |= {"v.1": (noise(1, 20, rate=44100), 44100), "Ünïcode" + "x" * 120: (noise(1, 21), RATE)}
    for name, (wav, rate) in waves.items():
        soundfile.write(audio / f"{name}.wav", wav, rate)
    soundfile.write(audio / "long.flac", noise(5, 30), RATE)
    segments = {name: f"{name} 0 -1" for name in waves} | {"w1": "long 0.5 2", "w2": "long 2.25 4.75"}
    write_table(folder / "wav.scp", {name: audio / f"{name}.wav" for name in waves} | {"long": audio / "long.flac"})
    write_table(folder / "segments", segments)
    write_table(folder / "text", {"u1": "DE KAT", "w2": "É"})
    write_table(folder / "utt2lang", dict.fromkeys(segments, "nl"))
    write_table(folder / "utt2spk", {name: "ann" if name == "u1" else name for name in segments})
    return folder


def _here(make, items, jobs, work, crashed):
    return ((item, make(item)) for item in items)


@pytest.fixture(autouse=True)
def in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in this process where the test is not about processes: seconds instead of minutes."""
    if "processes" not in request.keywords:
        monkeypatch.setattr(sharding, "in_processes", _here)
        monkeypatch.setattr(curation, "in_processes", _here)
        monkeypatch.setattr(curation, "optional_measures", lambda: (False, []))
    torch.set_num_threads(1)


def run(source: Path, out: Path, megabytes: float = SHARD_MB, rate: int = WANTED, jobs: int = 1) -> Counts:
    return shard_data_dir(source, out, rate, megabytes, SHARE, jobs)


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file() and path.name[0] != "."}


def entries(out: Path) -> list[Entry]:
    return [Entry.parse(line, out / INDEX) for line in (out / INDEX).read_bytes().splitlines()[1:]]


def expected(data: DataDir, utterance: str, rate: int = WANTED) -> np.ndarray:
    """Return what a shard must have of an utterance: integers of 16 bits."""
    segment = data.segments[utterance]
    wav, source_rate = load_audio(data.wav[segment.recording])
    first, last = segment.bounds(wav.shape[1], source_rate)
    mono = resample(downmix(wav[:, first:last]), source_rate, rate)
    return quantise(mono, PCM_SCALE["PCM_16"])[0]


def details(out: Path) -> dict[str, dict]:
    """Return the JSON member of each item, found by the index alone."""
    found = {}
    for entry in entries(out):
        content = (out / entry.shard).read_bytes()[entry.json_offset :][: entry.json_size]
        found[entry.utt_id] = json.loads(content)
    return found


def test_the_index_leads_to_each_member_and_its_audio_is_the_source_s(source, tmp_path):
    counts = run(source, tmp_path / "out")
    data, listed = DataDir.read(source), entries(tmp_path / "out")
    assert [entry.utt_id for entry in listed] == data.utterances
    assert (counts.items, counts.left_out) == (12, {})
    assert counts.shards == len({entry.shard for entry in listed}) > 2
    for entry in listed:
        content = (tmp_path / "out" / entry.shard).read_bytes()[entry.offset :][: entry.size]
        wav, rate = soundfile.read(io.BytesIO(content), dtype="int16")
        np.testing.assert_array_equal(wav, expected(data, entry.utt_id))
        assert (rate, len(wav), zlib.crc32(content)) == (WANTED, entry.samples, entry.crc32)


def test_webdataset_reads_the_same_audio(source, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    counts = run(source, tmp_path / "out")
    data, seen = DataDir.read(source), {}
    urls = f"{tmp_path}/out/{{000000..{counts.shards - 1:06d}}}.tar"
    for sample in webdataset.WebDataset(urls, shardshuffle=False).decode():
        about = sample["json"]
        wav, rate = soundfile.read(io.BytesIO(sample["flac"]), dtype="int16")
        assert rate == about["sample_rate"] == WANTED
        seen[about["utt_id"]] = wav
    assert sorted(seen) == data.utterances
    for utterance, wav in seen.items():
        np.testing.assert_array_equal(wav, expected(data, utterance))


def test_every_shard_is_a_tar_file_of_pairs_about_as_large_as_asked(source, tmp_path):
    run(source, tmp_path / "out")
    shards = sorted((tmp_path / "out").glob("*.tar"))
    assert [shard.name for shard in shards] == [f"{number:06d}.tar" for number in range(len(shards))]
    for shard in shards:
        with tarfile.open(shard) as tar:
            members = tar.getmembers()
            stems = [member.name.rpartition(".")[0] for member in members]
            assert stems[::2] == stems[1::2] and not any("." in stem for stem in stems)
            assert [member.name.rpartition(".")[2] for member in members] == ["flac", "json"] * (len(members) // 2)
            about = [json.load(tar.extractfile(member)) for member in members[1::2]]
        assert sum(one["num_samples"] for one in about) * 2 <= SHARD_MB * 1e6
    run(source, tmp_path / "single", megabytes=1e-3)
    assert len(list((tmp_path / "single").glob("*.tar"))) == 12


def test_what_is_known_of_an_utterance_stands_beside_it(source, tmp_path):
    run(source, tmp_path / "out")
    found = details(tmp_path / "out")
    assert (found["u1"]["text"], found["u1"]["speaker"], found["u1"]["lang"]) == ("DE KAT", "ann", "nl")
    assert found["w2"]["text"] == "É" and "speaker" not in found["w2"] and "text" not in found["u2"]
    assert (found["w2"]["offset"], found["w2"]["duration"]) == (2.25, 2.5)
    assert found["w2"]["audio_filepath"] == str(tmp_path / "audio" / "long.flac")
    assert found["u1"]["bandwidth"] == pytest.approx(WANTED / 2, rel=0.06)


def test_what_curation_has_measured_stands_beside_it(source, tmp_path):
    rules = CurationRules(min_bandwidth=None, min_duration=0.8)
    curation.curate(source, tmp_path / "curated", rules)
    run(tmp_path / "curated" / "kept", tmp_path / "out")
    rows = {row["utt_id"]: row for row in curation.read_table(tmp_path / "curated")}
    found = details(tmp_path / "out")
    assert sorted(found) == sorted(name for name, row in rows.items() if row["kept"] == "yes") != sorted(rows)
    for name, one in found.items():
        measured = one["curation"]
        for column in ("bandwidth", "loudness", "noise_floor", "sample_rate", "num_channels"):
            assert measured[column] == float(rows[name][column])
        assert "utt_id" not in measured


def test_the_same_call_gives_the_same_bytes_whole_or_in_parts(source, tmp_path):
    run(source, tmp_path / "one")
    for number in (3, 1, 2):
        shard_part(source, tmp_path / "parts", WANTED, SHARD_MB, Part(number, 3))
        assert not (tmp_path / "parts" / INDEX).exists()
    made = run(source, tmp_path / "parts").made
    assert made == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "parts")


@pytest.mark.processes
def test_two_processes_give_the_bytes_of_one(source, tmp_path, monkeypatch):
    run(source, tmp_path / "two", jobs=2)
    monkeypatch.setattr(sharding, "in_processes", _here)
    run(source, tmp_path / "one")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def started(source: Path, out: Path) -> int:
    """Run in a process of its own and return its number."""
    child = os.fork()
    if not child:
        try:
            run(source, out)
        finally:
            os._exit(0)
    return child


def tars_in(files: Iterable[str]) -> list[str]:
    return [name for name in files if name.endswith(".tar")]


def check_killed(out: Path, whole: dict[str, bytes]) -> None:
    """Check that what has its name in a folder is whole."""
    left = contents(out) if out.is_dir() else {}
    assert all(left[name] == whole[name] for name in tars_in(left))
    assert INDEX not in left or left == whole


def test_a_run_that_is_killed_in_the_middle_goes_on_and_ends_in_the_same_bytes(source, tmp_path):
    run(source, tmp_path / "whole")
    whole, out = contents(tmp_path / "whole"), tmp_path / "out"
    for wanted in (0, 1, 3):
        child = started(source, out)
        # The shard after those that are wanted has been begun.
        while not list(out.glob(f".{wanted:06d}.{child}.part.tar")):
            assert os.waitpid(child, os.WNOHANG) == (0, 0), "it has ended"
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        check_killed(out, whole)
    assert len(tars_in(contents(out))) == 3 < len(tars_in(whole))
    assert run(source, out).made == len(tars_in(whole)) - 3
    assert contents(out) == whole
    assert not list(out.glob(".*.part*"))


@pytest.mark.slow
def test_a_run_that_is_killed_at_twenty_random_moments_ends_in_the_same_bytes(source, tmp_path):
    start = time.monotonic()
    run(source, tmp_path / "whole")
    took = time.monotonic() - start
    whole, draw = contents(tmp_path / "whole"), random.Random()
    for number in range(20):
        out = tmp_path / f"killed{number // 4}"  # the first moment of four finds nothing, the others what was left
        child = started(source, out)
        time.sleep(draw.uniform(0, took))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        check_killed(out, whole)
        if number % 4 == 3:
            run(source, out)
            assert contents(out) == whole and not list(out.glob(".*.part*"))


def encoded_ids(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note which items are encoded from now on."""
    seen, encode = [], sharding.encode

    def noting(item, *rest):
        seen.append(item.utt_id)
        return encode(item, *rest)

    monkeypatch.setattr(sharding, "encode", noting)
    return seen


def test_only_what_is_missing_or_changed_is_made_again(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run(source, out)
    before, members = contents(out), {}
    for entry in entries(out):
        members.setdefault(entry.shard, []).append(entry.utt_id)
    seen, written = encoded_ids(monkeypatch), (out / INDEX).stat().st_mtime_ns
    assert run(source, out).made == 0 and not seen
    assert (out / INDEX).stat().st_mtime_ns == written, "a training that reads it need not notice"
    second = sorted(members)[1]
    (out / second).unlink()
    assert run(source, out).made == 1
    assert seen == members[second] and contents(out) == before
    (out / second).write_bytes(before[second][:-1])  # cut off
    assert run(source, out).made == 1 and contents(out) == before
    seen.clear()
    soundfile.write(tmp_path / "audio" / "u7.wav", noise(1.3, 40), RATE)
    run(source, out)
    assert seen == next(ids for ids in members.values() if "u7" in ids) and contents(out) != before
    write_table(source / "text", {"u1": "EEN ANDERE KAT", "w2": "É"})
    run(source, out)
    assert details(out)["u1"]["text"] == "EEN ANDERE KAT"
    assert run(source, out, rate=8000).made == len(list(out.glob("*.tar")))
    assert {entry.sample_rate for entry in entries(out)} == {8000}


def test_shards_that_are_no_longer_any_go(source, tmp_path):
    run(source, tmp_path / "out", megabytes=SHARD_MB / 4)
    (tmp_path / "out" / "notes.tar").write_bytes(b"not ours")
    run(source, tmp_path / "out")
    run(source, tmp_path / "fresh")
    left = contents(tmp_path / "out")
    assert left.pop("notes.tar") == b"not ours"
    assert left == contents(tmp_path / "fresh")


def left_out(out: Path) -> dict[str, str]:
    with (out / "left_out.tsv").open(encoding="utf-8", newline="") as stream:
        return {row["utt_id"]: row["reason"] for row in csv.DictReader(stream, delimiter="\t")}


def test_unreadable_recordings_are_named_counted_and_refused_above_a_share(source, tmp_path):
    out = tmp_path / "out"
    for name in ("u2", "u5"):
        (tmp_path / "audio" / f"{name}.wav").write_bytes(b"RIFF....WAVE")
    counts = run(source, out)
    assert set(counts.left_out) == set(left_out(out)) == {"u2", "u5"} and counts.items == 10
    assert any("10 of 12 items" in line for line in counts.lines())
    assert "audio/u2.wav" in left_out(out)["u2"] and "u2" not in details(out)
    with pytest.raises(EvaganError, match=r"^2 of 12 items are unreadable, more than max_unreadable 0\.1 "):
        shard_data_dir(source, out, WANTED, SHARD_MB, 0.1)
    assert not (out / INDEX).exists()
    (tmp_path / "audio" / "u6.wav").write_bytes(b"RIFF....WAVE")
    with pytest.raises(EvaganError, match=r"^3 of 12 items are unreadable, more than max_unreadable 0.2 .*: u2: /"):
        run(source, out)
    assert not (out / INDEX).exists() and set(left_out(out)) == {"u2", "u5", "u6"}
    for name in ("u2", "u5", "u6"):
        soundfile.write(tmp_path / "audio" / f"{name}.wav", noise(1, 50), RATE)
    assert run(source, out).items == 12


def test_one_recording_that_is_shorter_than_its_segment_says_is_left_out(source, tmp_path):
    soundfile.write(tmp_path / "audio" / "long.flac", noise(2.1, 30), RATE)
    counts = run(source, tmp_path / "out")
    assert set(counts.left_out) == {"w2"} and "is not inside the recording of 2.100 s" in counts.left_out["w2"]


def test_nothing_usable_is_said(source, tmp_path):
    for path in (tmp_path / "audio").iterdir():
        path.write_bytes(b"no audio")
    with pytest.raises(EvaganError, match=r"^.*data: no utterance in it that can be used|no item can be used"):
        run(source, tmp_path / "out")
    assert not (tmp_path / "out" / INDEX).exists()


def test_what_crashes_native_code_is_left_out_and_the_others_of_its_shard_are_there(source, tmp_path, monkeypatch):
    """As a process that dies while it works on an item: the note of it is all that is left."""

    def in_processes(make, plans, jobs, work, crashed):
        for plan in plans:
            try:
                yield plan, make(plan)
            except ZeroDivisionError:
                yield plan, crashed(plan, "Segmentation fault")

    encode = sharding.encode
    monkeypatch.setattr(sharding, "encode", lambda item, *rest: 1 / 0 if item.utt_id == "u3" else encode(item, *rest))
    monkeypatch.setattr(sharding, "in_processes", in_processes)
    counts = run(source, tmp_path / "out")
    assert list(counts.left_out) == ["u3"]
    assert counts.left_out["u3"].endswith("audio/u3.wav: the process that read it crashed: Segmentation fault")
    assert counts.items == 11
    assert run(source, tmp_path / "out").made == 0


def test_a_band_that_is_narrower_than_curation_has_measured_is_left_out(source, tmp_path):
    curation.curate(source, tmp_path / "curated", CurationRules(min_bandwidth=None, min_duration=None))
    # The file has lost its upper half since.
    wav, _ = soundfile.read(tmp_path / "audio" / "u6.wav", dtype="float32")
    soundfile.write(tmp_path / "audio" / "u6.wav", resample(resample(wav, RATE, 6000), 6000, RATE), RATE)
    counts = run(tmp_path / "curated" / "kept", tmp_path / "out")
    assert list(counts.left_out) == ["u6"]
    said = re.search(r"u6\.wav: encoded, its sound ends at (\d+) Hz; (\d+) Hz were measured", counts.left_out["u6"])
    assert float(said[1]) == pytest.approx(3000, abs=200) and float(said[2]) > 7500


def test_what_is_fainter_than_16_bits_is_given_up_and_no_fault(tmp_path):
    seconds, fall = 4, 15  # dB per kHz
    spectrum = np.fft.rfft(noise(seconds, 1)[:, 0])
    spectrum *= 10 ** (-fall * np.arange(len(spectrum)) / seconds / 1000 / 20)
    soundfile.write(tmp_path / "a.wav", np.fft.irfft(spectrum), RATE, "FLOAT")
    assert measure_band(load_audio(tmp_path / "a.wav")[0], RATE).bandwidth > 7000
    write_table(tmp_path / "data" / "wav.scp", {"a": tmp_path / "a.wav"})
    counts = run(tmp_path / "data", tmp_path / "out", rate=RATE)
    assert not counts.left_out and details(tmp_path / "out")["a"]["bandwidth"] < 6000


def test_a_full_disk_is_one_line_and_a_run_with_more_room_goes_on(source, tmp_path, small_disk):
    disk = small_disk("200k")
    out = disk.folder / "out"
    with pytest.raises(EvaganError, match=r"^cannot write .*/disk/.*: No space left on device$"):
        run(source, out)
    whole = contents(out)
    assert any(name.endswith(".tar") for name in whole) and INDEX not in whole
    assert not list(out.glob(".*.part*"))
    disk.resize("20m")
    run(source, out)
    run(source, tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")


def test_wrong_sources_are_refused(source, tmp_path):
    with pytest.raises(UsageError, match=r"data: a data directory; the shards must be in another folder"):
        run(source, source)
    write_table(source / "utt2lang", {"u1": "nl"})
    with pytest.raises(UsageError, match=r"utt2lang: 11 utterances are not in it"):
        run(source, tmp_path / "out")
    with pytest.raises(UsageError, match="is not a directory"):
        run(tmp_path / "nothing", tmp_path / "out")


def test_a_table_of_the_curation_that_was_changed_by_hand_is_one_line(source, tmp_path):
    curation.curate(source, tmp_path / "curated", CurationRules(min_bandwidth=None, min_duration=None))
    table = tmp_path / "curated" / "curation.tsv"
    column = table.read_text().split("\n")[0].split("\t").index("loudness")
    lines = [line.split("\t") for line in table.read_text().splitlines()]
    lines[1][column] = "loud"
    table.write_text("".join("\t".join(line) + "\n" for line in lines))
    with pytest.raises(UsageError, match=r"curation\.tsv: 'loudness' of '.*': .*run `evagan curate` again$"):
        run(tmp_path / "curated" / "kept", tmp_path / "out")
