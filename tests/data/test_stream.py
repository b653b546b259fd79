"""Items of a stream: a function of seed and number, whoever loads them."""

import hashlib
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from torch.utils.data import DataLoader

from evagan_plugin.config import VocoderConfig, build_config
from evagan_plugin.data.index import DirIndex, open_dir
from evagan_plugin.data.segments import SegmentCrop, stack
from evagan_plugin.data.stream import ROUNDS, Stream, open_stream, permuted
from evagan_plugin.data.stream_items import StreamDataset, StreamSampler
from evagan_plugin.errors import EvaganError, UsageError

RATE, HOP, FRAMES = 8000, 64, 4
ITEM = HOP * FRAMES
SHARES = {"speech": 50, "music": 45, "noise": 5}
SEED = 3
LAST = 6000
"""Items that are compared."""


@pytest.fixture(scope="module")
def config() -> VocoderConfig:
    return build_config(
        {
            "preset": "hifigan_v1_22k",
            "mel": {"sample_rate": RATE, "n_fft": 256, "win_length": 256, "hop_length": HOP, "f_max": 4000.0},
            "generator": {"upsample_rates": [4, 4, 2, 2], "upsample_kernels": [8, 8, 4, 4]},
            "training": {"segment_frames": FRAMES, "gain_db": [-6, 0]},
            "discriminators": {"mrd": {"resolutions": [[64, 16, 64]]}},
        }
    )


def write_dir(folder: Path, lengths: dict[str, int], seed: int = 0, rate: int = RATE) -> Path:
    """Write recordings of so many samples, all of different noise."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for name, samples in lengths.items():
        soundfile.write(folder / f"{name}.wav", random.uniform(-0.5, 0.5, samples), rate)
    (folder / "wav.scp").write_text("".join(f"{name} {folder}/{name}.wav\n" for name in lengths))
    return folder


def write_mix(folder: Path, shares: dict[str, float] | None = None, **fields: object) -> Path:
    """Describe a mix of the directories below a folder."""
    sources = [{"name": name, "path": str(folder / name), "share": share} for name, share in (shares or SHARES).items()]
    (folder / "mix.yaml").write_text(yaml.safe_dump({"sources": sources} | fields))
    return folder / "mix.yaml"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mix of three sources: many short recordings, few long ones with segments, two that are shorter than an item."""
    folder = tmp_path_factory.mktemp("mix")
    random = np.random.default_rng(1)
    write_dir(folder / "speech", {f"s{n:03d}": int(random.integers(200, 2000)) for n in range(200)}, 1)
    music = write_dir(folder / "music", {"a": 40 * RATE, "b": 13 * RATE}, 2)
    segments = [f"a{n} a {n * 2.5} {n * 2.5 + 2.4}\n" for n in range(15)] + ["rest b 1.5 -1\n"]
    (music / "segments").write_text("".join(segments))
    write_dir(folder / "noise", {"s001": ITEM - 10, "short": ITEM // 2}, 3)
    return write_mix(folder)


def place_in(wav: np.ndarray, cut: np.ndarray) -> int:
    """Return the one place that a stretch is from."""
    (place,) = (one for one in np.flatnonzero(wav == cut[0]) if np.array_equal(wav[one : one + len(cut)], cut))
    return int(place)


@pytest.fixture
def stream(mixed: Path) -> Stream:
    return open_stream(mixed, RATE, ITEM, SEED)


def test_a_mix_is_within_one_item_of_its_shares_at_every_k(stream: Stream):
    counts, worst = np.zeros(3), 0.0
    for k in range(10_000):
        counts[stream.item(k).source] += 1
        worst = max(worst, np.abs(counts - (k + 1) * np.array(list(SHARES.values())) / 100).max())
    assert worst < 1


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 10_007])
def test_an_order_has_every_number_once_and_depends_on_its_key(size: int):
    keys = [tuple(range(n, n + ROUNDS)) for n in (0, 100)]
    orders = [[permuted(place, size, key) for place in range(size)] for key in keys]
    assert all(sorted(order) == list(range(size)) for order in orders)
    assert size < 1000 or np.mean(np.equal(*orders)) < 0.01


def test_orders_are_as_good_as_random():
    size, orders = 12, 3000
    counts = np.zeros((size, size))
    for n in range(orders):
        key = tuple(int(word) for word in np.random.default_rng(n).integers(2**63, size=ROUNDS))
        for place in range(size):
            counts[place, permuted(place, size, key)] += 1
    expected = orders / size
    # Chi-squared with 121 degrees of freedom: below 190 with a probability of .9999.
    assert ((counts - expected) ** 2 / expected).sum() < 190


def test_a_pass_takes_every_part_of_every_utterance_once(stream: Stream):
    taken: dict[int, list] = {0: [], 1: [], 2: []}
    for k in range(3 * len(stream)):
        item = stream.item(k)
        taken[item.source].append((item.utterance, item.part))
    assert stream.size(2) == 2
    for source, items in taken.items():
        size, index = stream.size(source), stream.indexes[source]
        passes = [items[first : first + size] for first in range(0, len(items) - size + 1, size)]
        assert passes and all(len(set(one)) == size for one in passes)
        parts = np.maximum(np.rint(index.seconds * RATE / ITEM), 1)
        np.testing.assert_array_equal(np.bincount([number for number, _ in passes[0]]), parts)
    assert taken[0][: stream.size(0)] != taken[0][stream.size(0) : 2 * stream.size(0)]


def test_each_second_is_heard_about_once_in_a_pass(tmp_path, config):
    """A recording of 100 items: whatever its length in files, no stretch of it is passed over."""
    write_dir(tmp_path / "one", {"long": 100 * ITEM})
    stream = open_stream(write_mix(tmp_path, {"one": 1}), RATE, ITEM, SEED)
    wav, _ = soundfile.read(tmp_path / "one" / "long.wav", dtype="float32")
    crop, heard = SegmentCrop.for_validation(config), np.zeros(len(wav))
    dataset = StreamDataset(stream, crop, RATE)
    passes = 10
    for k in range(passes * len(stream)):
        cut = dataset[k][1]["wav"]
        start = place_in(wav, cut)
        heard[start : start + ITEM] += 1
    inner = heard[ITEM:-ITEM]  # all but what the ends have less of
    # A place of its own part for each item: once a pass, give or take .58; anywhere in the recording it would be 1.
    assert inner.min() > 0 and inner.mean() == pytest.approx(passes, rel=0.02)
    assert inner.std() < 0.75 * passes**0.5


def digests(path: Path, config: VocoderConfig, first: int, last: int, batch: int, workers: int, size: int) -> list[str]:
    """Load items ``first`` to ``last`` in so many processes with workers each; return a digest for each item."""
    found = {}
    for rank in range(size):
        stream = open_stream(path, RATE, ITEM, SEED)
        dataset = StreamDataset(stream, SegmentCrop.for_training(config), RATE)
        batches = StreamSampler(stream, batch, LAST // batch + 1, rank, size).generate(0)
        numbers = [[k for k in one if first <= k < last] for one in batches]
        loader = DataLoader(
            dataset, batch_sampler=[one for one in numbers if one], num_workers=workers, collate_fn=lambda items: items
        )
        loaded = [item for items in loader for item in items]
        for k, (name, data) in zip([k for one in numbers for k in one], loaded, strict=True):
            found[k] = hashlib.sha256(name.encode() + data["wav"].tobytes()).hexdigest()
    assert sorted(found) == list(range(first, last))
    return [found[k] for k in range(first, last)]


@pytest.fixture(scope="module")
def whole(mixed: Path, config: VocoderConfig) -> list[str]:
    """Digests of items of one process without workers."""
    return digests(mixed, config, 0, LAST, 16, 0, 1)


@pytest.mark.parametrize(
    ("first", "batch", "workers", "processes"),
    [(0, 16, 1, 1), (0, 20, 3, 2), (1, 16, 3, 1), (777, 16, 0, 2), (5000, 25, 1, 2)],
)
def test_items_are_the_same_for_any_workers_processes_and_resume(
    mixed, config, whole, first, batch, workers, processes
):
    assert len(set(whole)) > 0.99 * LAST
    assert digests(mixed, config, first, LAST, batch, workers, processes) == whole[first:]


def test_another_seed_gives_other_items(mixed, stream: Stream):
    other = open_stream(mixed, RATE, ITEM, SEED + 1)
    assert sum(stream.item(k) == other.item(k) for k in range(500)) < 50


def test_a_source_keeps_its_order_when_another_comes(mixed, tmp_path, stream: Stream):
    path = tmp_path / "mix.yaml"
    sources = yaml.safe_load(mixed.read_text())["sources"]
    path.write_text(yaml.safe_dump({"sources": sources[:1]}))
    alone = open_stream(path, RATE, ITEM, SEED)
    of_speech = [item for item in map(stream.item, range(400)) if item.source == 0]
    assert [alone.item(k)[1:4] for k in range(len(of_speech))] == [item[1:4] for item in of_speech]


def test_a_gain_raises_what_a_source_has(tmp_path, config):
    write_dir(tmp_path / "one", {"a": 5 * ITEM})
    plain = open_stream(write_mix(tmp_path, {"one": 1}), RATE, ITEM, SEED)
    text = (tmp_path / "mix.yaml").read_text().replace("share: 1", "share: 1\n  gain_db: -20")
    (tmp_path / "mix.yaml").write_text(text)
    softer = open_stream(tmp_path / "mix.yaml", RATE, ITEM, SEED)
    crop = SegmentCrop.for_validation(config)
    left, right = (StreamDataset(one, crop, RATE)[5][1]["wav"] for one in (plain, softer))
    np.testing.assert_allclose(left / 10, right, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_of_an_hour_a_few_seconds_are_read(tmp_path, config, suffix: str):
    folder = tmp_path / "long"
    folder.mkdir()
    hour = np.random.default_rng(0).integers(-2000, 2000, 3600 * RATE, dtype=np.int16)
    soundfile.write(folder / f"hour{suffix}", hour, RATE)
    (folder / "wav.scp").write_text(f"hour {folder}/hour{suffix}\n")
    dataset = StreamDataset(
        open_stream(write_mix(tmp_path, {"long": 1}), RATE, ITEM, SEED), SegmentCrop.for_validation(config), RATE
    )

    def bytes_read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    before = bytes_read()
    for k in range(10):
        _, data = dataset[k]
        assert place_in(hour, (data["wav"] * 2**15).astype(np.int16)) % HOP == 0
    size = (folder / f"hour{suffix}").stat().st_size
    assert (bytes_read() - before) / 10 < size / 20, "bytes an item"


def test_a_stretch_is_what_whole_reading_gives(tmp_path, config):
    folder = write_dir(tmp_path / "one", {"a": 40 * ITEM})
    for pitch in (None, (-2.0, 2.0)):
        crop = SegmentCrop.for_training(replace(config, training=replace(config.training, pitch_shift=pitch)))
        wav, _ = soundfile.read(folder / "a.wav", dtype="float32")
        with open_dir(folder, tmp_path / "index").open(0) as recording:
            for draw in range(5):
                seeking, whole = (crop("a", {"wav": one}, draw, (2, 7))["wav"] for one in (recording, wav))
                np.testing.assert_array_equal(seeking, whole)


def test_batches_are_what_an_epoch_has_next(stream: Stream):
    sampler = StreamSampler(stream, 4, 5)
    assert [list(one) for one in sampler.generate(1)] == [list(range(k, k + 4)) for k in range(20, 40, 4)]
    batches = sampler.generate(1)
    del batches[:3]
    assert list(batches) == list(sampler.generate(1))[3:] == list(sampler.generate(1)[3:]) and len(batches) == 2
    halves = [StreamSampler(stream, 4, 5, rank, 2).generate(0)[0] for rank in (0, 1)]
    assert halves == [[0, 2], [1, 3]]
    assert len(StreamSampler(stream, 4)) == len(stream) // 4
    with pytest.raises(UsageError, match="batch_size 1 is less than the 2 processes"):
        StreamSampler(stream, 1, 5, 0, 2)


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        open_stream(path, RATE, ITEM, SEED)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_a_source_that_cannot_be_used_is_named(tmp_path):
    path = write_mix(tmp_path, {"here": 1})
    assert f"source 'here': {tmp_path}/here: is not a directory" in refused(path)
    (tmp_path / "here").mkdir()
    assert "has no wav.scp" in refused(path)
    (tmp_path / "here" / "wav.scp").write_text("\n")
    assert "no utterance in it that can be used" in refused(path)
    (tmp_path / "here" / "wav.scp").write_text("a\n")
    assert "wav.scp:1: 'a' has nothing after it" in refused(path)
    (tmp_path / "here" / "wav.scp").write_text("a cat a.wav |\n")
    assert "is a pipe" in refused(path)
    (tmp_path / "here" / "wav.scp").write_text(f"a {tmp_path}/nothing.wav\nb {tmp_path}/b.wav\n")
    assert "no utterance in it that can be used; a (" in refused(path)
    soundfile.write(tmp_path / "b.wav", np.zeros(500), RATE)
    assert "1 of 2 recordings cannot be used, more than max_unreadable 0.001 allows: a (" in refused(path)
    soundfile.write(tmp_path / "nothing.wav", np.zeros(500), 16000)
    assert "has 16000 Hz, the model 8000 Hz: `evagan format" in refused(path)


def test_recordings_that_were_mended_in_place_are_used(tmp_path):
    folder = write_dir(tmp_path / "here", {"a": ITEM, "b": ITEM, "c": ITEM})
    path = write_mix(tmp_path, {"here": 1})
    for name in "bc":
        (folder / f"{name}.wav").write_bytes(b"no audio")
    assert f"2 of 3 recordings cannot be used, more than max_unreadable 0.001 allows: b ({folder}" in refused(path)
    for name in "bc":
        assert f"delete the index {tmp_path}/mix.index/here" in refused(path)
        soundfile.write(folder / f"{name}.wav", np.zeros(2 * ITEM), 2 * RATE)
    assert f"'b' has {2 * RATE} Hz, the model {RATE} Hz" in refused(path)
    for name in "bc":
        soundfile.write(folder / f"{name}.wav", np.zeros(2 * ITEM), RATE)
    assert len(open_stream(path, RATE, ITEM, SEED)) == 5


def test_ids_stand_once_in_a_source_and_may_stand_in_several(tmp_path, config):
    for name in ("one", "two"):
        write_dir(tmp_path / name, {"a": 3 * ITEM}, seed=len(name))
    path = write_mix(tmp_path, {"one": 1, "two": 1})
    dataset = StreamDataset(open_stream(path, RATE, ITEM, SEED), SegmentCrop.for_validation(config), RATE)
    assert {dataset[k][0] for k in range(4)} == {"one/a", "two/a"}
    table = tmp_path / "one" / "wav.scp"
    table.write_text(table.read_text() * 2)
    assert "one/wav.scp: ids stand twice: a; ids must be unique" in refused(path)


def test_a_source_smaller_than_a_batch_is_heard_again_and_said(tmp_path, config, caplog):
    write_dir(tmp_path / "one", {"a": 3 * ITEM})
    stream = open_stream(write_mix(tmp_path, {"one": 1}), RATE, ITEM, SEED)
    sampler = StreamSampler(stream, 8, 2)
    stream.report(8)
    assert "source 'one' has 3 item(s) per pass, fewer than a batch of 8" in caplog.text
    dataset = StreamDataset(stream, SegmentCrop.for_validation(config), RATE)
    _, batch = stack([dataset[k] for k in sampler.generate(0)[0]])
    assert batch["wav"].shape == (8, ITEM)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_recording_is_named_counted_and_refused_above_a_share(tmp_path, config, caplog, workers: int):
    folder = write_dir(tmp_path / "one", {f"u{n}": ITEM for n in range(20)})
    path = write_mix(tmp_path, {"one": 1}, max_unreadable=0.003)

    def load(items: int) -> list:
        dataset = StreamDataset(open_stream(path, RATE, ITEM, SEED), SegmentCrop.for_validation(config), RATE)
        loader = DataLoader(dataset, batch_sampler=[[k] for k in range(items)], num_workers=workers, collate_fn=list)
        return [item for batch in loader for item in batch]

    before = load(60)
    (folder / "u3.wav").write_bytes(b"no audio")
    after = load(60)  # three passes: three of them, which is .003 of a thousand
    changed = [old for old, new in zip(before, after, strict=True) if old[0] != new[0]]
    assert [name for name, _ in changed] == ["one/u3"] * 3
    assert [name for name, _ in after] == [name for name, _ in load(60)]
    if not workers:
        assert "'one/u3' cannot be read, another takes its place" in caplog.text
        assert "(number 3 beside " in caplog.text
    with pytest.raises(EvaganError, match=r"'one/u3' cannot be read.*number 4 .*more than max_unreadable 0\.003"):
        load(80)


def test_an_index_is_made_anew_where_a_table_has_changed(tmp_path):
    folder = write_dir(tmp_path / "one", {"a": ITEM, "b": 9 * ITEM})
    first = open_dir(folder, tmp_path / "index")
    made = (tmp_path / "index" / "seconds.npy").stat().st_mtime_ns
    assert open_dir(folder, tmp_path / "index").name(1) == "b"
    assert (tmp_path / "index" / "seconds.npy").stat().st_mtime_ns == made
    replacement = tmp_path / "one" / "new.scp"
    replacement.write_text(f"c {folder}/b.wav\n")
    replacement.replace(folder / "wav.scp")
    assert [first.name(number) for number in (0, 1)] == ["a", "b"]  # a run keeps the table that it began with
    second = open_dir(folder, tmp_path / "index")
    assert len(second) == 1 and second.name(0) == "c"


def test_a_worker_that_opens_an_index_again_finds_the_same_or_nothing(tmp_path):
    folder = write_dir(tmp_path / "one", {"a": ITEM, "b": 9 * ITEM})
    sent = pickle.dumps(open_dir(folder, tmp_path / "index"))
    assert pickle.loads(sent).name(1) == "b"
    (folder / "wav.scp").write_text(f"longer {folder}/b.wav\nb {folder}/b.wav\n")
    for _ in range(2):  # before and after a run that makes the index anew
        with pytest.raises(EvaganError, match=r"one: its tables, or their index .*index, have just been changed"):
            pickle.loads(sent)
        open_dir(folder, tmp_path / "index")
    (tmp_path / "index" / "state.json").unlink()  # as of a run that is making it
    with pytest.raises(EvaganError, match="have just been changed"):
        DirIndex(folder, tmp_path / "index")


def test_how_long_an_utterance_lasts(tmp_path):
    folder = write_dir(tmp_path / "one", {"a": 3 * RATE, "b": 2 * RATE})
    assert open_dir(folder, tmp_path / "1").seconds.tolist() == [3, 2]
    (folder / "utt2dur").write_text("b 2.5\na 3.5\n")
    assert open_dir(folder, tmp_path / "2").seconds.tolist() == [3.5, 2.5]
    (folder / "utt2dur").write_text("b 2.5\n")
    with pytest.raises(UsageError, match="utt2dur: 'a' is not in it"):
        open_dir(folder, tmp_path / "3")
    (folder / "utt2dur").unlink()
    (folder / "segments").write_text("x b 0.5 1\ny a 1 -1\n")
    index = open_dir(folder, tmp_path / "4")
    assert index.seconds.tolist() == [0.5, 2] and index.name(1) == "y"
    with index.open(0) as recording:
        wav, _ = soundfile.read(folder / "b.wav", dtype="float32")
        np.testing.assert_array_equal(recording[:], wav[RATE // 2 : RATE])
    (folder / "segments").write_text("x c 0 1\n")
    with pytest.raises(UsageError, match=r"segments: recordings that wav\.scp lacks: c"):
        open_dir(folder, tmp_path / "5")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "2s"])
def test_a_length_that_is_none_is_refused(tmp_path, seconds: str):
    folder = write_dir(tmp_path / "one", {"a": ITEM, "b": ITEM})
    (folder / "utt2dur").write_text(f"a 3.5\nb {seconds}\n")
    path = write_mix(tmp_path, {"one": 1})
    assert f"utt2dur: 'b {seconds}' is not '<id> <seconds>', a finite number of at least 0" in refused(path)


SIMULATED = """
import sys, time
from pathlib import Path
from evagan_plugin.data.index import DirIndex
from evagan_plugin.data.mix import read_mix
from evagan_plugin.data import segments  # what a training has in any case
from evagan_plugin.data.stream import open_stream
before = int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1])
start = time.process_time()
stream = open_stream(sys.argv[1], 8000, 24000, 1)
items = [stream.item(k) for k in (0, 10**9)]
restored = time.process_time() - start
names = {stream.name(stream.item(k)) for k in range(2000)}
after = int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])
print(len(stream.indexes[0]), restored, (after - before) / 1024, len(names))
"""


def test_ten_million_recordings_fit_in_memory_and_open_within_a_second(tmp_path):
    """The index of ten million lines, over a table in which they stand again and again."""
    count, lines = 10**7, 1000
    write_dir(tmp_path / "one", {f"u{n:04d}": RATE for n in range(lines)})
    path = write_mix(tmp_path, {"one": 1})
    open_stream(path, RATE, 3 * RATE, 1)
    index = tmp_path / "mix.index" / "one"
    np.save(index / "lines.npy", np.resize(np.load(index / "lines.npy"), count))
    np.save(index / "seconds.npy", np.random.default_rng(0).uniform(3, 30, count).astype(np.float32))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SIMULATED, path], capture_output=True, text=True, check=True, env=environment
    )
    size, seconds, mebibytes, names = map(float, done.stdout.split())
    assert size == count and names > 800
    assert mebibytes < 500
    assert seconds < 1
