"""Part K of N: every name in one part, parts of nearly one size, files of their own."""

import pytest

from evagan_plugin.errors import UsageError
from evagan_plugin.utils.parts import Part, files_of_parts, in_part


@pytest.mark.parametrize("text", ["0/3", "4/3", "x", "1", "1/0", "1/", "-1/2"])
def test_a_wrong_part_is_one_line(text):
    with pytest.raises(UsageError, match=r"^--part .*: it is K/N"):
        Part.parse(text)


@pytest.mark.parametrize("count", [1, 3, 7, 12])
def test_every_name_is_in_one_part_whatever_their_order(count):
    names = [f"u{number}" for number in range(10)]
    parts = [in_part(Part(number, count), names, str) for number in range(1, count + 1)]
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    again = [in_part(Part(number, count), names[::-1], str) for number in range(1, count + 1)]
    assert [part[::-1] for part in again] == parts
    assert in_part(None, names, str) == names


def test_files_of_parts_are_found_by_the_whole_and_by_other_divisions(tmp_path):
    whole = tmp_path / "made.jsonl"
    parts = [Part.parse(text) for text in ("1/2", "2/2", "1/12", "3/12")]
    for path in (whole, *(part.file(whole) for part in parts)):
        path.touch()
    assert {path.name for path in files_of_parts(whole)} == {
        "made.1of2.jsonl", "made.2of2.jsonl", "made.1of12.jsonl", "made.3of12.jsonl",
    }  # fmt: skip
    assert {path.name for path in files_of_parts(whole, parts[0])} == {"made.1of12.jsonl", "made.3of12.jsonl"}
