"""Shards as a source of a mix: the items of a data directory, and one line where a shard is not what it was."""

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from torch.utils.data import DataLoader

from evagan_plugin.audio.io import AudioFile
from evagan_plugin.data import faults
from evagan_plugin.data.kaldi import write_table
from evagan_plugin.data.segments import SegmentCrop
from evagan_plugin.data.shards import shard as sharding
from evagan_plugin.data.shards.index import open_shards
from evagan_plugin.data.shards.shard import shard_data_dir
from evagan_plugin.data.shards.tar import INDEX
from evagan_plugin.data.stream import open_stream
from evagan_plugin.data.stream_items import StreamDataset, StreamSampler
from evagan_plugin.errors import EvaganError, UsageError

RATE, HOP, FRAMES, SEED = 8000, 64, 8, 3
ITEM = HOP * FRAMES
CROP = SegmentCrop(HOP, FRAMES, FRAMES, np.zeros(1, np.float32))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data``, a directory of 24 recordings, and ``shards``, six with four of them each."""
    folder = tmp_path_factory.mktemp("made")
    draw = np.random.default_rng(0)
    for number in range(24):
        path = folder / "audio" / f"u{number:02d}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, draw.uniform(-0.5, 0.5, RATE // 2 + 100 * (number % 4)), RATE)
    table = {path.stem: path for path in (folder / "audio").iterdir()}
    write_table(folder / "data" / "wav.scp", table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharding, "in_processes", lambda make, plans, *_, **__: ((plan, make(plan)) for plan in plans))
        # Four of them and no fifth.
        shard_data_dir(folder / "data", folder / "shards", RATE, 4 * 2 * 4200 / 1e6, 0)
    assert len(list((folder / "shards").glob("*.tar"))) == 6
    return folder


@pytest.fixture
def shards(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made / "shards", tmp_path / "copy"))


def write_mix(folder: Path, sources: dict[str, Path], **fields: object) -> Path:
    listed = [{"name": name, "path": str(path), "share": 1} for name, path in sources.items()]
    folder.mkdir(exist_ok=True)
    (folder / "mix.yaml").write_text(yaml.safe_dump({"sources": listed} | fields))
    return folder / "mix.yaml"


def open_mix(path: Path) -> StreamDataset:
    return StreamDataset(open_stream(path, RATE, ITEM, SEED), CROP, RATE)


def digests(path: Path, count: int, workers: int = 0, processes: int = 1) -> list[str]:
    """Load the first items in so many processes with workers each; return a digest for each item."""
    found = {}
    for rank in range(processes):
        dataset = open_mix(path)
        batches = StreamSampler(dataset.stream, 4, count // 4, rank, processes).generate(0)
        loader = DataLoader(dataset, batch_sampler=batches, num_workers=workers, collate_fn=list)
        loaded = [item for batch in loader for item in batch]
        for k, (name, data) in zip([k for batch in batches for k in batch], loaded, strict=True):
            found[k] = hashlib.sha256(name.encode() + data["wav"].tobytes()).hexdigest()
    return [found[k] for k in range(count)]


def test_shards_give_the_items_of_the_directory_that_they_were_made_of(made, tmp_path):
    plain = digests(write_mix(tmp_path / "plain", {"one": made / "data"}), 100)
    packed = digests(write_mix(tmp_path / "packed", {"one": made / "shards"}), 100)
    assert plain == packed and len(set(plain)) > 95


@pytest.mark.parametrize(("workers", "processes"), [(1, 2), (3, 1)])
def test_items_are_the_same_for_any_workers_and_processes(made, tmp_path, workers, processes):
    path = write_mix(tmp_path / "mix", {"one": made / "shards", "two": made / "data"})
    assert digests(path, 80, workers, processes) == digests(path, 80)


def test_the_same_id_may_be_in_two_sources_and_in_one_only_once(made, shards, tmp_path):
    path = write_mix(tmp_path / "mix", {"one": shards, "two": made / "shards", "three": made / "data"})
    dataset = open_mix(path)
    seen = {dataset[k][0] for k in range(300)}
    assert {"one/u00", "two/u00", "three/u00"} <= seen
    index = shards / INDEX
    index.write_text(index.read_text() + index.read_text().splitlines()[1] + "\n")
    with pytest.raises(UsageError, match=r"source 'one': .*index\.tsv: ids stand twice: u00; ids must be unique"):
        open_mix(path)


def test_of_a_long_member_a_few_seconds_are_decoded_and_of_a_shard_one_member_is_read(tmp_path, monkeypatch):
    seconds = 60
    for name in "ab":
        wav = np.random.default_rng(ord(name)).uniform(-0.5, 0.5, seconds * RATE)
        soundfile.write(tmp_path / f"{name}.wav", wav, RATE)
    write_table(tmp_path / "data" / "wav.scp", {name: tmp_path / f"{name}.wav" for name in "ab"})
    monkeypatch.setattr(sharding, "in_processes", lambda make, plans, *_, **__: ((plan, make(plan)) for plan in plans))
    shard_data_dir(tmp_path / "data", tmp_path / "shards", RATE, 100, 0)
    dataset = open_mix(write_mix(tmp_path / "mix", {"one": tmp_path / "shards"}))
    decoded, read = [], AudioFile.read

    def reading(self, frames=-1, **rest):
        block = read(self, frames, **rest)
        decoded.append(len(block))
        return block

    def bytes_read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    monkeypatch.setattr(AudioFile, "read", reading)
    member = seconds * RATE * 2
    shard = (tmp_path / "shards" / "000000.tar").stat().st_size
    for k in range(10):
        before = bytes_read()
        decoded.clear()
        name, data = dataset[k]
        assert sum(decoded) == ITEM
        # Once from the shard, and once by the decoder, which seeks in memory.
        assert bytes_read() - before < 2 * member < 1.2 * shard * 2
        whole, _ = soundfile.read(tmp_path / f"{name[-1]}.wav", dtype="float32")
        starts = [place for place in range(0, len(whole), HOP) if np.array_equal(whole[place:][:ITEM], data["wav"])]
        assert len(starts) == 1


def opened(folder: Path, shards: Path, **fields: object) -> str:
    """Return what is said of shards that cannot be used."""
    with pytest.raises(UsageError) as caught:
        open_mix(write_mix(folder, {"one": shards}, **fields))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def cut_off(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 4])


def change(shard: Path) -> None:
    """Replace a bit in the audio of every member."""
    content = bytearray(shard.read_bytes())
    record = json.loads(shard.with_suffix(".json").read_text())
    for _, _, offset, size, *_ in record["entries"]:
        content[offset + size // 2] ^= 1
    shard.write_bytes(content)


def test_a_missing_or_truncated_shard_is_named_when_the_mix_is_opened(shards, tmp_path):
    (shards / "000002.tar").unlink()
    said = opened(tmp_path / "mix", shards)
    assert f"{shards}: 4 of 24 recordings cannot be used, more than max_unreadable 0.001 allows: 000002.tar: No" in said
    assert "run `evagan shard` again" in said
    cut_off(shards / "000004.tar")
    said = opened(tmp_path / "mix", shards)
    assert "8 of 24 recordings" in said and "000004.tar: truncated: " in said
    open_mix(write_mix(tmp_path / "mix", {"one": shards}, max_unreadable=0.5))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (Path.unlink, r"000003\.tar: cannot be read: No such file or directory"),
        (cut_off, r"000003\.tar: truncated: it holds \d+ bytes of 'u\d\d' \(\d+ bytes from \d+ on\)"),
        (change, r"000003\.tar: changed after it was indexed: it has other bytes in the place of 'u\d\d'"),
    ],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_is_harmed_in_a_training_is_named_counted_and_refused_above_a_share(
    shards, tmp_path, monkeypatch, caplog, harm, reason, workers
):
    monkeypatch.setattr(faults, "AT_LEAST", 100)
    dataset = open_mix(write_mix(tmp_path / "mix", {"one": shards}, max_unreadable=0.08))

    def load(items: range) -> list:
        loader = DataLoader(dataset, batch_sampler=[[k] for k in items], num_workers=workers, collate_fn=list)
        return [item for batch in loader for item in batch]

    lost = {f"one/u{number}" for number in range(12, 16)}
    before = load(range(40))
    harm(shards / "000003.tar")
    if harm is cut_off:  # the first member is still whole
        lost.remove("one/u12")
    after = load(range(40))
    assert not {name for name, _ in after} & lost
    assert all(new[0] == old[0] or old[0] in lost for old, new in zip(before, after, strict=True))
    if not workers:
        # One for each item of it, and for those that were to take its place.
        assert caplog.text.count("another takes its place") >= sum(name in lost for name, _ in before) > 0
    with pytest.raises(EvaganError, match=rf"'one/u1\d' cannot be read: .*{reason}.*more than max_unreadable 0\.08"):
        load(range(40, 400))


def test_shards_whose_index_is_missing_or_no_index_are_refused_in_one_line(shards, tmp_path):
    index = shards / INDEX
    good = index.read_text()
    for text, said in (
        ("", "its first line is not that of this version"),
        (good.partition("\n")[0] + "\n", f"no item in its {INDEX}"),
        (good.replace("\tu", "u").replace("000000.tar", "\t"), "is no line of it: run `evagan shard` again"),
        (good.replace(f"\t{RATE}\t", "\t0\t"), "is no line of it"),
        (good.replace("\t512\t", "\t-5\t"), "is no line of it"),
    ):
        index.write_text(text)
        assert said in opened(tmp_path / "mix", shards)
    index.unlink()
    assert f"shards without {INDEX}: `evagan shard`, without --part, has not come to its end" in opened(
        tmp_path / "mix", shards
    )


def test_shards_of_another_rate_say_what_makes_those_of_the_model(made, tmp_path):
    path = write_mix(tmp_path / "mix", {"one": made / "shards"})
    with pytest.raises(UsageError, match=r"'u00' has 8000 Hz, the model 16000 Hz: `evagan shard DATA_DIR OUT --sample"):
        open_stream(path, 2 * RATE, ITEM, SEED)


def test_an_index_that_was_made_anew_is_read_anew(made, shards, tmp_path):
    assert len(open_shards(shards, tmp_path / "index")) == 24
    sent = pickle.dumps(open_shards(shards, tmp_path / "index"))
    assert pickle.loads(sent).name(23) == "u23"
    lines = (shards / INDEX).read_text().splitlines(keepends=True)
    (shards / INDEX).write_text("".join(lines[:5]))
    index = open_shards(shards, tmp_path / "index")
    assert [index.name(number) for number in range(len(index))] == ["u00", "u01", "u02", "u03"]
    with pytest.raises(EvaganError, match="have just been changed"):
        pickle.loads(sent)
