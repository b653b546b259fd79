"""Who hears what in which order: balanced over items and systems, random within."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evagan_plugin.listening.design.design import CHECK, Check, ListeningItem, ListeningTest

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MUSHRA_CHECK_CEILING = 10
"""Highest MUSHRA score that passes for the beeping sample, which should get 0."""


@dataclass(frozen=True)
class Slot:
    """One sample of a trial, under the letter that the rater sees."""

    name: str
    system: str
    audio: str


@dataclass(frozen=True)
class PlannedTrial:
    """One page of scores."""

    kind: str
    """``training``, ``test`` or ``check``."""
    item: str
    category: str
    reference: str | None
    """Audio id of the open reference."""
    slots: tuple[Slot, ...]
    expected: dict[str, list[float]] | None = None
    """For checks: lowest and highest passing score, by slot."""


def plan_session(design: ListeningTest, usage: Mapping[str, int], rng: np.random.Generator) -> list[PlannedTrial]:
    """Plan all trials of one rater: training, then test trials with attention checks among them.

    A rater hears every system of each of their items, so systems are rated equally often; the items are the ones
    that the fewest raters have so far, drawn evenly from the categories.

    Args:
        design: The test.
        usage: How many raters have each item, by item id.
        rng: Source of the random order.
    """
    items = choose_items(design, usage, rng)
    trials = spread([trial for item in items for trial in item_trials(design, item, rng)], rng)
    return training_trials(design, rng) + _with_checks(design, trials, rng)


def choose_items(design: ListeningTest, usage: Mapping[str, int], rng: np.random.Generator) -> list[ListeningItem]:
    """Return ``items_per_rater`` items, category by category in turn, least used first, ties at random."""
    categories: dict[str, list[ListeningItem]] = {}
    for item in design.test_items:
        categories.setdefault(item.category, []).append(item)
    queues = [
        sorted(members, key=lambda item: (usage.get(item.id, 0), rng.random())) for members in categories.values()
    ]
    # The category that raters have had least begins, so that an uneven number per rater evens out over raters.
    queues.sort(key=lambda queue: (sum(usage.get(item.id, 0) for item in queue), rng.random()))
    turns = itertools.chain.from_iterable(itertools.zip_longest(*queues))
    return [item for item in turns if item is not None][: design.items_per_rater]


def item_trials(
    design: ListeningTest, item: ListeningItem, rng: np.random.Generator, kind: str = "test"
) -> list[PlannedTrial]:
    """Return the trials that cover all systems of an item; within a trial the order is random."""
    protocol = design.rules
    names = list(item.audio)
    if protocol.samples == "one":
        groups: Sequence[Sequence[str]] = [[name] for name in names]
    elif protocol.samples == "pair":
        groups = _pairs(design)
    else:
        groups = [names]
    return [_trial(design, item, rng.permutation(group).tolist(), kind) for group in groups]


def training_trials(design: ListeningTest, rng: np.random.Generator) -> list[PlannedTrial]:
    """Return the trials of the training items, from the worst to the best where samples come one by one."""
    trials = []
    for item in design.training_items:
        if design.rules.samples == "one":
            middle = rng.permutation(design.named("system"))[:1].tolist()
            order = [*design.named("anchor"), *middle, *design.named("reference")]
            trials += [_trial(design, item, [name], "training") for name in order]
        else:
            trials += item_trials(design, item, rng, kind="training")[:2]
    return trials


def spread(trials: Sequence[PlannedTrial], rng: np.random.Generator) -> list[PlannedTrial]:
    """Return the trials in random order with trials of one item apart wherever that is possible."""
    pools: dict[str, list[PlannedTrial]] = {}
    for index in rng.permutation(len(trials)):
        pools.setdefault(trials[index].item, []).append(trials[index])
    ordered: list[PlannedTrial] = []
    while any(pools.values()):
        last = ordered[-1].item if ordered else None
        choices = [item for item, pool in pools.items() if pool and item != last] or [last]
        # Fuller pools come sooner: what is left at the end can then still be kept apart.
        weights = np.array([len(pools[item]) for item in choices], dtype=float) ** 2
        chosen = choices[rng.choice(len(choices), p=weights / weights.sum())]
        ordered.append(pools[chosen].pop())
    return ordered


def _pairs(design: ListeningTest) -> list[tuple[str, str]]:
    systems = design.named("system")
    return list(itertools.combinations(systems, 2)) or [(systems[0], name) for name in design.named("reference")]


def _trial(design: ListeningTest, item: ListeningItem, systems: Sequence[str], kind: str) -> PlannedTrial:
    slots = tuple(Slot(letter, name, item.audio[name]) for letter, name in zip(LETTERS, systems, strict=False))
    reference = item.reference if design.rules.with_reference else None
    return PlannedTrial(kind, item.id, item.category, reference, slots)


def _with_checks(design: ListeningTest, trials: list[PlannedTrial], rng: np.random.Generator) -> list[PlannedTrial]:
    """Insert the attention checks, evenly over the session and never first."""
    count = min(design.checks_per_rater, len(design.checks))
    chosen = [design.checks[index] for index in rng.permutation(len(design.checks))[:count]]
    mixed = list(trials)
    bounds = np.linspace(1, len(trials) + 1, count + 1).astype(int)
    for number in reversed(range(count)):
        place = rng.integers(bounds[number], max(bounds[number + 1], bounds[number] + 1))
        mixed.insert(int(place), _check_trial(design, chosen[number], rng))
    return mixed


def _check_trial(design: ListeningTest, check: Check, rng: np.random.Generator) -> PlannedTrial:
    item = design.by_id[check.item]
    protocol = design.rules
    expected: list[float]
    if protocol.samples == "one":
        sources, expected = [check.audio], [check.beeps, check.beeps]
    elif protocol.samples == "pair":
        sources, expected = [check.audio, item.reference], [1, 1]
    else:
        hidden = [item.audio[name] for name in (*design.named("reference"), *design.named("anchor"))]
        sources, expected = [check.audio, *(hidden or [item.reference])], [0, MUSHRA_CHECK_CEILING]
    order = rng.permutation(len(sources))
    slots = tuple(
        Slot(LETTERS[place], CHECK if index == 0 else "reference", sources[index]) for place, index in enumerate(order)
    )
    answer = {slot.name: expected for slot in slots if slot.system == CHECK}
    reference = item.reference if protocol.with_reference else None
    return PlannedTrial("check", item.id, item.category, reference, slots, answer)
