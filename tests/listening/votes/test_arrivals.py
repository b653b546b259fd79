"""Who gets in by the open link: each participant once, and no more raters than the test wants."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from listening_bench import Made, take_part

from evagan_plugin.listening.design.crowd import Crowd
from evagan_plugin.listening.design.tokens import links
from evagan_plugin.listening.results.render import render_status
from evagan_plugin.listening.results.status import status_of
from evagan_plugin.listening.votes.arrivals import AdmissionError
from evagan_plugin.listening.votes.records import Participant

PERSONAL = 1
"""Raters of the test who have a personal link; those who join are numbered after them."""


@pytest.fixture
def make_crowd(make_test):
    """Make a small test with a crowd; the fields are those of ``Crowd``."""

    def make(**fields: object) -> Made:
        plain = {"training_items": 0, "checks": 0, "anchor": False, "items_per_rater": 1, "raters": PERSONAL}
        return make_test(systems=("good",), count=1, **plain, crowd=Crowd(**fields))

    return make


def join(made: Made, *names: str) -> str:
    with made.store as store:
        return store.join(Participant(*names), made.design.crowd)


def refused(made: Made, *names: str) -> str:
    with pytest.raises(AdmissionError) as caught:
        join(made, *names)
    return caught.value.reason


def pass_minutes(made: Made, minutes: float) -> None:
    """Let everything that happened have happened so much earlier."""
    with closing(sqlite3.connect(made.folder / "votes.sqlite")) as connection, connection:
        for column in ("arrivals.arrived_at", "raters.consented_at", "raters.created_at", "votes.stored_at"):
            table, name = column.split(".")
            connection.execute(f"update {table} set {name} = {name} - ?", (60 * minutes,))


def start(made: Made, rater: int) -> None:
    with made.store as store:
        store.start(rater, "en", None, lambda: made.design)


def test_an_unfinished_session_goes_on_and_a_finished_one_is_not_repeated(make_crowd):
    made = make_crowd(prolific=True)
    token = join(made, "ann", "study", "visit1")
    take_part(made, 2, most=1)
    assert join(made, "ann", "study", "visit2") == token, "the session goes on, whatever visit it is"
    take_part(made, 2)
    assert refused(made, "ann", "study", "visit3") == refused(made, "ann") == "again"
    assert join(made, "ann", "study", "visit2") == token, "who reloads the study's link sees the end of their own visit"
    assert join(made, "bob", "study", "visit1") != token
    with made.store as store:
        assert store.participants() == {
            2: Participant("ann", "study", "visit2"),
            3: Participant("bob", "study", "visit1"),
        }


def test_without_ids_everybody_is_new(make_crowd):
    made = make_crowd()
    assert len({join(made), join(made), *made.tokens}) == 3


def test_places_are_held_by_open_sessions_for_a_while_and_by_finished_ones_for_good(make_crowd):
    made = make_crowd(max_raters=2, place_minutes=60)
    ann = join(made, "ann")
    join(made, "bob")
    assert refused(made, "eve") == "full"
    take_part(made, 3)  # Bob finishes.
    pass_minutes(made, 59)
    assert refused(made, "eve") == "full"
    take_part(made, 2, most=1)  # Ann, still alive.
    pass_minutes(made, 59)
    assert refused(made, "eve") == "full"
    pass_minutes(made, 2)
    eve = join(made, "eve")  # Ann's place has lapsed, Bob's has not.
    assert refused(made, "joe") == "full"
    assert join(made, "ann") == ann, "a session that has begun can be gone on with"
    take_part(made, 2)
    take_part(made, made.tokens.index(eve) + 1)
    pass_minutes(made, 10_000)
    assert refused(made, "joe") == "full"
    with made.store as store:
        status = status_of(made.design, store)
        text = render_status(status, links("http://here", {"admin": "a", "join": "j"}, []))
    assert (status.places_taken, status.max_raters) == (3, 2)
    assert "3 of 2 places are taken" in text and "| ann " in text


def test_who_only_arrived_needs_a_place_again_after_it_lapsed(make_crowd):
    made = make_crowd(max_raters=1, place_minutes=60)
    join(made, "ann")
    pass_minutes(made, 61)
    join(made, "bob")
    with pytest.raises(AdmissionError, match="the test has its 1 raters"):
        start(made, 2)
    start(made, 3)
    with made.store as store:
        assert {rater.id for rater in store.raters() if rater.consented_at} == {3}, "nothing is half begun"


def test_personal_links_take_places_when_they_are_used(make_crowd):
    made = make_crowd(max_raters=1)
    join(made, "ann")
    with pytest.raises(AdmissionError):
        start(made, 1)
    pass_minutes(made, 61)
    start(made, 1)
    assert refused(made, "bob") == "full"


def test_a_rush_fills_the_places_and_no_more(make_crowd):
    made = make_crowd(max_raters=5)

    def try_to_join(number: int) -> bool:
        try:
            return bool(join(made, f"pid{number % 12}"))
        except AdmissionError:
            return False

    with ThreadPoolExecutor(8) as pool:
        admitted = sum(pool.map(try_to_join, range(12)))
        assert admitted == 5
    assert len(made.tokens) == PERSONAL + 5


def test_the_same_participant_at_once_is_one_rater(make_crowd):
    made = make_crowd()
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: join(made, "ann"), range(12)))) == 1


def test_a_store_from_before_there_were_arrivals_goes_on(make_crowd):
    made = make_crowd()
    take_part(made, 1)
    with closing(sqlite3.connect(made.folder / "votes.sqlite")) as connection, connection:
        connection.execute("drop table arrivals")
    began = time.time()
    join(made, "ann")
    with made.store as store:
        assert [rater.answered > 0 for rater in store.raters()] == [True, False]
        assert store.raters()[1].created_at >= began
