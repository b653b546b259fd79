"""Trials of raters in the vote store: put there, and joined by those of a new system. All inside a transaction."""

import numpy as np
from sqlalchemy import Connection, Exists, exists, func, insert, select, update

from evagan_plugin.listening.design.assignment import PlannedTrial, item_trials, spread
from evagan_plugin.listening.design.design import ListeningTest
from evagan_plugin.listening.votes.tables import samples, trials, votes


def answered() -> Exists:
    """Return the condition that a row of ``trials`` has votes."""
    return exists().where(votes.c.trial == trials.c.id)


def usage_of_items(connection: Connection) -> dict[str, int]:
    """Return how many raters have each item among their test trials."""
    query = (
        select(trials.c.item, func.count(trials.c.rater.distinct()).label("raters"))
        .where(trials.c.kind == "test")
        .group_by(trials.c.item)
    )
    return {row.item: row.raters for row in connection.execute(query)}


def insert_trials(connection: Connection, rater: int, planned: list[tuple[int, PlannedTrial]]) -> None:
    """Add trials of a rater, each with its position."""
    for position, trial in planned:
        row = {
            "rater": rater,
            "position": position,
            "kind": trial.kind,
            "item": trial.item,
            "category": trial.category,
            "reference": trial.reference,
            "expected": trial.expected,
        }
        key = connection.execute(insert(trials).values(row)).inserted_primary_key[0]
        heard = [{"trial": key, "slot": slot.name, "system": slot.system, "audio": slot.audio} for slot in trial.slots]
        connection.execute(insert(samples), heard)


def extend_session(connection: Connection, rater: int, design: ListeningTest, system: str) -> int:
    """Give a rater the trials of a new system on their items, mixed into what they have left.

    Answered trials keep their positions. A rater who has the system already is left as is.

    Returns:
        How many trials were added.
    """
    rows = connection.execute(select(trials).where(trials.c.rater == rater).order_by(trials.c.position)).all()
    mine = select(trials.c.id).where(trials.c.rater == rater)
    if connection.scalar(select(samples.c.trial).where(samples.c.trial.in_(mine), samples.c.system == system).limit(1)):
        return 0
    rng = np.random.default_rng([design.seed, rater, len(design.systems)])
    items = dict.fromkeys(row.item for row in rows if row.kind == "test")
    planned = [trial for item in items for trial in item_trials(design, design.by_id[item], rng)]
    fresh = spread([trial for trial in planned if system in {slot.system for slot in trial.slots}], rng)
    done = set(connection.scalars(mine.where(answered())))
    left = [row for row in rows if row.id not in done]
    # Practice stays in front of everything else.
    practice = [row.id for row in left if row.kind == "training"]
    order: list[int | PlannedTrial] = [row.id for row in left if row.kind != "training"]
    # The new trials keep their order among themselves, as the waiting ones do; both are random already.
    places = np.sort(rng.integers(0, len(order) + 1, len(fresh)))
    for place, trial in zip(reversed(places.tolist()), reversed(fresh), strict=True):
        order.insert(place, trial)
    for position, entry in enumerate([*practice, *order], start=len(rows) - len(left)):
        if isinstance(entry, PlannedTrial):
            insert_trials(connection, rater, [(position, entry)])
        else:
            connection.execute(update(trials).where(trials.c.id == entry).values(position=position))
    return len(fresh)
