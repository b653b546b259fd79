"""What data preparations share: draws that the seed alone decides, speakers that stay on one side."""

import pytest

from evagan_plugin.data.corpus import draw, find_files, hold_out_speakers, safe_name
from evagan_plugin.data.kaldi import DataDir
from evagan_plugin.errors import UsageError

NAMES = [f"utterance {number}" for number in range(100)]


def test_a_draw_is_decided_by_the_seed_alone():
    drawn = draw(NAMES, 20, seed=0)
    assert drawn == sorted(drawn)
    assert len(set(drawn)) == 20
    assert draw(reversed(NAMES), 20, seed=0) == drawn
    assert draw(NAMES, 20, seed=1) != drawn
    assert set(drawn) < set(draw(NAMES, 21, seed=0))
    assert draw(NAMES, 1000, seed=0) == sorted(NAMES)


def test_held_out_speakers_are_on_one_side():
    spoken = {name: f"speaker {number % 10}" for number, name in enumerate(NAMES)}
    data = DataDir(wav={name: f"{name}.wav" for name in NAMES}, utt2spk=spoken)
    rest, held = hold_out_speakers(data, 3, seed=0)
    assert rest.wav.keys() | held.wav.keys() == data.wav.keys()
    sides = [set(side.utt2spk.values()) for side in (rest, held)]
    assert (len(sides[0]), len(sides[1]), sides[0] & sides[1]) == (7, 3, set())
    for count in (0, 10):
        with pytest.raises(UsageError, match=f"{count} of 10 speakers cannot be held out"):
            hold_out_speakers(data, count, seed=0)


def test_files_are_found_or_told_to_be_missing(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(UsageError, match=r"no \*/\*\.wav in it; get it there"):
        find_files(tmp_path, "*/*.wav", "get it there")
    with pytest.raises(UsageError, match="b: there is no such directory; get it there"):
        find_files(tmp_path / "b", "*/*.wav", "get it there")
    for name in ("x.wav", "._x.wav"):
        (tmp_path / "a" / name).touch()
    assert find_files(tmp_path, "*/*.wav", "") == [tmp_path / "a" / "x.wav"]


@pytest.mark.parametrize(
    ("name", "safe"), [("a/b c.d", "a-b_c.d"), ("../x", "-x"), ("Bär & Co", "B_r_Co"), ("..", "audio"), ("", "audio")]
)
def test_safe_names_can_be_ids_and_files(name, safe):
    assert safe_name(name) == safe
