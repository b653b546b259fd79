"""Balance and order of what raters hear."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from evagan_plugin.listening.design.assignment import plan_session
from evagan_plugin.listening.design.design import Check, ListeningItem, ListeningTest, System, new_id


def make_design(protocol: str = "smos", systems: int = 3, items: int = 12, **changes: object) -> ListeningTest:
    listed = [System(f"s{number}") for number in range(systems)]
    listed += [System("reference", "reference"), System("anchor_3500hz", "anchor")]
    made = [
        ListeningItem(
            f"u{number}", "speech" if number % 3 else "music", 0.0, 2.0, 2.0, 0.0, new_id(),
            {system.name: new_id() for system in listed}, training=number == 0,
        )
        for number in range(items + 1)
    ]  # fmt: skip
    checks = tuple(Check(f"u{number + 1}", new_id(), number + 1) for number in range(4))
    design = ListeningTest(
        id=new_id(), title="t", protocol=protocol, language="en", created="2026-01-01", seed=0, sample_rate=16000,
        half_points=False, items_per_rater=4, checks_per_rater=2, max_seconds=10, loudness=None, consent=None,
        systems=tuple(listed), items=tuple(made), checks=checks,
    )  # fmt: skip
    return replace(design, **changes)


def crowd(design: ListeningTest, raters: int) -> list[list]:
    usage: Counter[str] = Counter()
    sessions = []
    for rater in range(raters):
        sessions.append(plan_session(design, usage, np.random.default_rng(rater)))
        usage.update({trial.item for trial in sessions[-1] if trial.kind == "test"})
    return sessions


def test_systems_and_items_are_heard_equally_often():
    sessions = crowd(make_design(), 30)
    heard = [slot.system for session in sessions for t in session if t.kind == "test" for slot in t.slots]
    items = Counter(trial.item for session in sessions for trial in session if trial.kind == "test")
    assert set(Counter(heard).values()) == {30 * 4}
    assert len(items) == 12
    per_category = Counter()
    for session in sessions:
        per_category.update({(t.item, t.category) for t in session if t.kind == "test"})
    by_category = Counter(category for (_, category), count in per_category.items() for _ in range(count))
    assert by_category["speech"] == by_category["music"] == 60
    speech = [count for (_, category), count in per_category.items() if category == "speech"]
    assert max(speech) - min(speech) <= 1


def test_order_is_random_and_items_are_kept_apart():
    design = make_design()
    first, second = crowd(design, 2)
    assert [t.slots for t in first] != [t.slots for t in second]
    for session in crowd(design, 20):
        tested = [trial.item for trial in session if trial.kind == "test"]
        assert sum(one == other for one, other in pairwise(tested)) <= 1
    places = [
        next(i for i, t in enumerate(s) if t.kind == "test" and t.slots[0].system == "s0") for s in crowd(design, 40)
    ]
    assert len(set(places)) > 4


def test_training_comes_first_from_worst_to_best_and_checks_are_spread():
    for session in crowd(make_design(), 20):
        kinds = [trial.kind for trial in session]
        assert kinds[:3] == ["training"] * 3 and "training" not in kinds[3:]
        assert session[0].slots[0].system == "anchor_3500hz" and session[2].slots[0].system == "reference"
        checks = [index for index, kind in enumerate(kinds) if kind == "check"]
        assert len(checks) == 2 and checks[0] > 3
        assert checks[0] < 3 + 11 <= checks[1]
        for index in checks:
            beeps = next(c.beeps for c in make_design().checks if c.item == session[index].item)
            assert session[index].expected == {"A": [beeps, beeps]}


@pytest.mark.parametrize(("systems", "pairs"), [(1, 1), (2, 1), (3, 3), (4, 6)])
def test_ab_compares_every_pair_on_both_sides(systems, pairs):
    design = make_design("ab", systems)
    sessions = crowd(design, 30)
    tested = [trial for session in sessions for trial in session if trial.kind == "test"]
    counts = Counter(frozenset(slot.system for slot in trial.slots) for trial in tested)
    assert len(counts) == pairs and set(counts.values()) == {30 * 4}
    first = [trial.slots[0].system for trial in tested if "s0" in {slot.system for slot in trial.slots}]
    assert 0.4 < first.count("s0") / len(first) < 0.6
    assert all(trial.reference is None for trial in tested)
    checks = [trial for session in sessions for trial in session if trial.kind == "check"]
    assert all(
        trial.expected == {slot.name: [1, 1]} for trial in checks for slot in trial.slots if slot.system == "check"
    )


def test_mushra_has_all_systems_and_the_reference_in_one_trial():
    for session in crowd(make_design("mushra"), 5):
        for trial in session:
            assert trial.reference
            if trial.kind != "check":
                assert {slot.system for slot in trial.slots} == {"s0", "s1", "s2", "reference", "anchor_3500hz"}
                assert [slot.name for slot in trial.slots] == list("ABCDE")
