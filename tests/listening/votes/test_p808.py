"""Sessions in the form that the P.808 toolkit reads: what its result_parser.py looks up, and what it finds there."""

import csv
import io
from collections import Counter

import pytest
from listening_bench import Made, take_part

from evagan_plugin.errors import UsageError
from evagan_plugin.listening.votes.p808 import p808_csv
from evagan_plugin.listening.votes.records import Participant


def rated(made: Made, finished: int = 2) -> Made:
    """Let participants join; so many go through, the last one stops in the middle."""
    with made.store as store:
        for number in range(finished + 1):
            store.join(Participant(f"pid{number}", "study", f"visit{number}"), made.design.crowd)
    first = len(made.tokens) - finished
    for rater in range(first, first + finished):
        take_part(made, rater)
    take_part(made, first + finished, most=4)
    return made


def rows_of(made: Made) -> list[dict[str, str]]:
    """Read as the toolkit does: names of columns without case."""
    with made.store as store:
        reader = csv.DictReader(io.StringIO(p808_csv(store, made.design)))
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames]
        return list(reader)


def questions(row: dict[str, str]) -> dict[str, str]:
    """Score by clip's address."""
    numbers = [name[8:-4] for name in row if name.startswith("answer.q") and name.endswith("_url")]
    return {row[f"answer.q{number}_url"]: row[f"answer.q{number}"] for number in numbers}


def test_mos_sessions_as_acr(make_test):
    made = rated(make_test(protocol="mos", count=3, items_per_rater=2, raters=1))
    rows = rows_of(made)
    assert [row["workerid"] for row in rows] == ["pid0", "pid1"], "finished sessions only"
    assert [row["assignmentid"] for row in rows] == ["visit0", "visit1"]
    assert {row["hitid"] for row in rows} == {"study"} and {row["assignmentstatus"] for row in rows} == {"Submitted"}
    with made.store as store:
        votes = store.votes()
    for rater, row in zip((2, 3), rows, strict=True):
        mine = [vote for vote in votes if vote.rater == rater]
        asked = questions(row)
        expected = {f"/{v.system}/{v.item}.wav": str(int(v.score)) for v in mine if v.kind == "test"}
        checks = [vote for vote in sorted(mine, key=lambda vote: vote.position) if vote.kind == "check"]
        known = {f"/check/{vote.audio}.wav": str(int(vote.score)) for vote in checks}
        assert asked == expected | known and len(asked) == 2 * 4 + 2
        assert list(known) == [row["input.tp"], row["input.gold_clips"]]
        assert [row["input.tp_ans"], row["input.gold_clips_ans"]] == [str(int(v.expected["A"][0])) for v in checks]
        assert [row[f"answer.audio_n_finish_q{number}"] for number in range(1, 11)] == ["1"] * 10
        assert row["answer.2_birth_year"] == row["answer.math"] == row["answer.t1"] == ""
    # The toolkit looks for a known clip's address inside that of every clip.
    addresses = [address for row in rows for address in questions(row)]
    hits = Counter(row["input.tp"] in address for row in rows[:1] for address in questions(row))
    assert hits[True] == 1 and all(address.count("/") == 2 for address in addresses)


def test_smos_sessions_as_dcr(make_test):
    made = rated(make_test(count=3, items_per_rater=2, raters=1))
    row = rows_of(made)[0]
    asked = questions(row)
    assert len(asked) == 2 * 4 and not any(address.startswith("/check/") for address in asked)
    assert row["input.tp"].startswith("/reference/") and asked[row["input.tp"]] == "5"
    for clip in ("q_a", "q_b"):
        assert [row[f"answer.audio_n_finish_{clip}{number}"] for number in range(1, 9)] == ["1"] * 8
    assert "input.gold_clips" not in row


def test_one_check_leaves_the_gold_question_to_the_hidden_reference(make_test):
    made = rated(make_test(protocol="mos", count=3, items_per_rater=2, raters=1, checks=1))
    for row in rows_of(made):
        assert row["input.tp"].startswith("/check/")
        assert row["input.gold_clips"].startswith("/reference/") and row["input.gold_clips_ans"] == "5"


def test_raters_whom_no_site_named_have_numbers(make_test):
    made = make_test(protocol="mos", count=2, items_per_rater=1, raters=1)
    take_part(made, 1)
    [row] = rows_of(made)
    assert (row["workerid"], row["assignmentid"], row["hitid"]) == ("rater-1", "rater-1", made.design.id)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"protocol": "ab"}, "reads tests with the protocols mos and smos; this one is ab"),
        ({"protocol": "mos", "half_points": True}, "whole scores only"),
        ({"protocol": "mos", "checks": 0}, "needs a trapping and a gold question"),
        ({"protocol": "mos", "checks": 1, "hidden_reference": False}, "needs a trapping and a gold question"),
        ({"protocol": "smos", "hidden_reference": False}, "needs a trapping question"),
    ],
)
def test_what_the_toolkit_cannot_read_is_one_line(make_test, options, says):
    made = make_test(count=2, raters=1, **options)
    with made.store as store, pytest.raises(UsageError, match=says):
        p808_csv(store, made.design)
