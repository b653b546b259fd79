"""What a ``mix.yaml`` says, and the order of its sources."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from evagan_plugin.data.mix import PARTS, Schedule, is_mix, read_mix, whole_shares
from evagan_plugin.errors import ConfigError

SOURCES = [
    {"name": "speech", "path": "dump/speech", "share": 50, "category": "speech"},
    {"name": "music", "path": "dump/music", "share": 45.5, "gain_db": -3, "category": "music"},
    {"name": "noise", "path": "dump/noise", "share": 0},
]


def write(path: Path, **fields: object) -> Path:
    path.write_text(yaml.safe_dump({"sources": SOURCES} | fields))
    return path


def test_a_mix_is_read(tmp_path):
    mix = read_mix(write(tmp_path / "mix.yaml", max_unreadable=0.01))
    assert [source.name for source in mix.used] == ["speech", "music"]
    assert mix.sources[1].gain == pytest.approx(10 ** (-3 / 20)) and mix.sources[0].gain == 1
    assert mix.max_unreadable == 0.01
    assert is_mix("a/mix.yaml") and is_mix("B.YML") and not is_mix("wav.scp")


def one(**fields: object) -> dict:
    return {"sources": [SOURCES[0] | fields]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (one(share=-1), "sources.0.share: Input should be greater than or equal to 0, not -1"),
        (one(share="much"), "sources.0.share: .*number"),
        (one(share=float("nan")), "sources.0.share: .*finite"),
        (one(shar=1), "unknown config field 'sources.0.shar': did you mean 'share'"),
        ({"source": SOURCES}, "unknown config field 'source': did you mean 'sources'"),
        ({"sources": [{"name": "a", "path": "b"}]}, "config field 'sources.0.share' is missing: give it$"),
        (one(name="a b"), "name 'a b': no white space"),
        (one(path=""), "path '': a Kaldi data directory or a folder of shards is needed"),
        ({"sources": []}, "sources: .*at least 1 item"),
        (one(share=0), "sources: every share is 0"),
        ({"sources": [SOURCES[0], SOURCES[0]]}, "sources: 2 have the name 'speech'"),
        ({"max_unreadable": 2}, "max_unreadable: Input should be less than or equal to 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path, settings: dict, message: str):
    path = write(tmp_path / "mix.yaml", **settings)
    with pytest.raises(ConfigError, match=message) as caught:
        read_mix(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shares", "whole"),
    [
        ([0.5, 0.45, 0.05], [10, 9, 1]),
        ([16000, 20000], [4, 5]),
        ([7], [1]),
        ([0.1, 0.2, 0.30000000000000004], [16667, 33333, 50000]),
        ([1e-9, 1], [1, PARTS]),
    ],
)
def test_shares_become_whole_numbers(shares: list[float], whole: list[int]):
    assert whole_shares(shares) == whole


@pytest.mark.parametrize(
    "shares",
    [[50, 45, 5], [1, 1, 1], [0.9, 0.07, 0.03], [0.5, 0.123, 1.7], [97, *[1] * 40], [3.3, 2.2, 1.1, 0.7, 0.05, 0.0123]],
    ids=str,
)
def test_every_source_is_within_one_item_of_its_share_at_every_k(shares: list[float]):
    schedule = Schedule(shares)
    items = [schedule[k] for k in range(10_000)]
    seen = np.cumsum(np.eye(len(shares))[[source for source, _ in items]], axis=0)
    wanted = np.outer(np.arange(1, len(items) + 1), np.array(shares) / sum(shares))
    assert np.abs(seen - wanted).max() < 1
    # An item's number says how many of its source came before.
    assert all(number == seen[k, source] - 1 for k, (source, number) in enumerate(items))


def test_the_order_goes_on_after_any_number_of_items():
    schedule = Schedule([2, 1])
    far = 10**12
    assert [schedule[far + k][0] for k in range(6)].count(0) == 4
    assert sum(schedule[far + k][1] for k in range(3)) // 10**11 == (2 * 2 * far // 3 + far // 3) // 10**11
