"""Raters, their trials and their votes in an SQL database."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, func, insert, select, update
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.listening.design.assignment import plan_session
from evagan_plugin.listening.design.crowd import Crowd
from evagan_plugin.listening.design.design import ListeningTest
from evagan_plugin.listening.votes.arrivals import arrive, check_place, new_rater, places
from evagan_plugin.listening.votes.database import connect
from evagan_plugin.listening.votes.records import (
    Answer,
    Mark,
    Participant,
    Rater,
    RaterProgress,
    Trial,
    TrialSample,
    Vote,
)
from evagan_plugin.listening.votes.sessions import answered, extend_session, insert_trials, usage_of_items
from evagan_plugin.listening.votes.tables import arrivals, meta, raters, samples, tables, trials, votes

VOTES_FILE = "votes.sqlite"
SCHEMA = 1
"""Number of the layout of the tables."""


class Store:
    """The vote store of one test; open it with :func:`open_store`."""

    def __init__(self, engine: Engine, design: ListeningTest) -> None:
        self._engine = engine
        self._design = design

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Begin a transaction that takes SQLite's write lock at once: two that read first cannot then collide."""
        with self._engine.execution_options(writes=True).begin() as connection:
            yield connection

    def create(self) -> None:
        """Make the tables.

        Raises:
            UsageError: If the database holds a test already.
        """
        tables.create_all(self._engine)
        try:
            with self._writing() as connection:
                connection.execute(insert(meta).values(id=1, test=self._design.id, schema=SCHEMA))
        except IntegrityError:
            raise UsageError("the database holds a listening test already: give every test its own database") from None

    def check(self) -> None:
        """Raise :class:`UsageError` if the database belongs to another test or another version of this program."""
        try:
            with self._engine.begin() as connection:
                row = connection.execute(select(meta.c.test, meta.c.schema)).first()
        except SQLAlchemyError as error:
            raise UsageError(f"the vote store cannot be read: {_one_line(error)}") from error
        if row is None or row.test != self._design.id:
            raise UsageError("the vote store belongs to another listening test")
        if row.schema != SCHEMA:
            raise UsageError(f"the vote store has layout {row.schema}, this program uses {SCHEMA}")

    def add_raters(self, count: int) -> list[str]:
        """Make raters without trials (they get those at their start); return their personal tokens."""
        rows = [new_rater() for _ in range(count)]
        with self._writing() as connection:
            connection.execute(insert(raters), rows)
        return [row["token"] for row in rows]

    def join(self, who: Participant, crowd: Crowd) -> str:
        """Let somebody in by the open link; return their personal token. See :func:`arrivals.arrive`.

        Raises:
            AdmissionError: If they took part already, or no place is left.
        """
        with self._writing() as connection:
            _one_at_a_time(connection)
            return arrive(connection, who, crowd)

    def places(self, crowd: Crowd) -> set[int]:
        """Return the raters who hold a place among those whom the test wants."""
        with self._engine.begin() as connection:
            return places(connection, crowd)

    def participants(self) -> dict[int, Participant]:
        """Return who came by the open link, by the rater's number."""
        with self._engine.begin() as connection:
            rows = connection.execute(select(arrivals)).all()
        return {row.rater: Participant(row.participant, row.study, row.session) for row in rows}

    def rater(self, token: str) -> Rater | None:
        """Return the rater with that token, or ``None``."""
        with self._engine.begin() as connection:
            row = connection.execute(select(raters).where(raters.c.token == token)).first()
        return Rater(**row._mapping) if row else None

    def start(self, rater: int, language: str, headphones: str | None, design: Callable[[], ListeningTest]) -> None:
        """Note consent and plan the rater's trials; a second call changes nothing but language and headphones.

        Args:
            rater: Id of the rater.
            language: Chosen language of the page.
            headphones: Outcome of the headphone check.
            design: Returns the design as it is now. It is asked while nobody else plans: a system that is being added
                is then either in it, or its adding finds this rater among those who have begun.

        Raises:
            AdmissionError: If the session has not begun and no place is left for it.
        """
        with self._writing() as connection:
            # So that two servers cannot both take the same items for the least used.
            _one_at_a_time(connection)
            row = connection.execute(select(raters.c.consented_at).where(raters.c.id == rater)).one()
            values: dict[str, Any] = {"language": language, "headphones": headphones}
            if row.consented_at is None:
                current = design()
                check_place(connection, current.crowd, rater)
                values["consented_at"] = time.time()
                rng = np.random.default_rng([current.seed, rater])
                planned = plan_session(current, usage_of_items(connection), rng)
                insert_trials(connection, rater, list(enumerate(planned)))
            connection.execute(update(raters).where(raters.c.id == rater).values(values))

    def progress(self, rater: int) -> tuple[int, int]:
        """Return (answered trials, all trials) of a rater."""
        with self._engine.begin() as connection:
            total = connection.scalar(select(func.count()).where(trials.c.rater == rater))
            left = connection.scalar(select(func.count()).where(trials.c.rater == rater, ~answered()))
        return total - left, total

    def next_trials(self, rater: int, count: int) -> list[Trial]:
        """Return the rater's next unanswered trials, at most ``count``."""
        with self._engine.begin() as connection:
            query = select(trials).where(trials.c.rater == rater, ~answered()).order_by(trials.c.position).limit(count)
            rows = connection.execute(query).all()
            heard = select(samples).where(samples.c.trial.in_([row.id for row in rows])).order_by(samples.c.slot)
            slots: dict[int, list[TrialSample]] = {}
            for sample in connection.execute(heard):
                slots.setdefault(sample.trial, []).append(TrialSample(sample.slot, sample.audio))
        return [Trial(row.id, row.kind, row.reference, tuple(slots[row.id])) for row in rows]

    def save(self, rater: int, answer: Answer) -> bool:
        """Commit an answer; when this returns, the votes are on disk.

        Returns:
            False if the trial had been answered before: the first answer stands.

        Raises:
            UsageError: If the trial is not this rater's, or the answer does not fit its samples and scale.
        """
        try:
            with self._writing() as connection:
                owner = connection.scalar(select(trials.c.rater).where(trials.c.id == answer.trial))
                if owner != rater:
                    raise UsageError(f"trial {answer.trial} is not one of yours")
                slots = set(connection.scalars(select(samples.c.slot).where(samples.c.trial == answer.trial)))
                _check_answer(answer, slots, self._design)
                connection.execute(insert(votes), _vote_rows(answer))
        except IntegrityError:
            return False
        return True

    def extend_sessions(self, design: ListeningTest, system: str) -> int:
        """Give every rater who has begun the trials of a new system, mixed into what they have left.

        Returns:
            How many trials were added.
        """
        added = 0
        with self._writing() as connection:
            _one_at_a_time(connection)
            started = connection.scalars(select(raters.c.id).where(raters.c.consented_at.is_not(None))).all()
            for rater in started:
                added += extend_session(connection, rater, design, system)
        return added

    def raters(self) -> list[RaterProgress]:
        """Return all raters with their progress, in order of their numbers."""
        done = select(trials.c.rater, func.count().label("total")).group_by(trials.c.rater).subquery()
        cast = (
            select(
                trials.c.rater,
                func.count(trials.c.id.distinct()).label("answered"),
                func.max(votes.c.stored_at).label("last_vote_at"),
            )
            .join(votes, votes.c.trial == trials.c.id)
            .group_by(trials.c.rater)
            .subquery()
        )
        query = (
            select(
                raters,
                func.coalesce(done.c.total, 0).label("total"),
                func.coalesce(cast.c.answered, 0).label("answered"),
                cast.c.last_vote_at,
            )
            .outerjoin(done, done.c.rater == raters.c.id)
            .outerjoin(cast, cast.c.rater == raters.c.id)
            .order_by(raters.c.id)
        )
        with self._engine.begin() as connection:
            return [RaterProgress(**row._mapping) for row in connection.execute(query)]

    def votes(self) -> list[Vote]:
        """Return every vote with its trial, in order of storing: the raw data of the test."""
        query = (
            select(
                trials.c.rater, trials.c.position, trials.c.kind, trials.c.item,
                trials.c.category, trials.c.expected, samples.c.system, samples.c.audio, votes,
            )
            .join(samples, samples.c.trial == trials.c.id)
            .join(votes, (votes.c.trial == samples.c.trial) & (votes.c.slot == samples.c.slot))
            .order_by(votes.c.stored_at, trials.c.id, votes.c.slot)
        )  # fmt: skip
        with self._engine.begin() as connection:
            return [_vote(row) for row in connection.execute(query)]


def open_store(test_dir: str | Path, design: ListeningTest, database: str | None = None, create: bool = False) -> Store:
    """Open the vote store of a test.

    Args:
        test_dir: The test folder.
        design: Its design.
        database: SQLAlchemy URL, such as ``postgresql+psycopg://user@host/name``; ``votes.sqlite`` if ``None``.
        create: Make the tables.

    Raises:
        UsageError: If the store is missing, unreachable or another test's.
    """
    path = Path(test_dir) / VOTES_FILE
    if database is None and not create and not path.exists():
        raise UsageError(f"{path} is missing: a test made with --database needs the same --database here")
    try:
        engine = connect(database or f"sqlite:///{path}")
        store = Store(engine, design)
        if create:
            store.create()
        store.check()
        arrivals.create(engine, checkfirst=True)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise UsageError(f"--database '{database}': {_one_line(error)}") from error
    except SQLAlchemyError as error:
        raise EvaganError(f"the vote store cannot be used: {_one_line(error)}") from error
    return store


def _one_at_a_time(connection: Connection) -> None:
    """Wait until nobody else plans a session or lets a rater in; SQLite's write lock does the same."""
    connection.execute(select(meta.c.id).with_for_update())


def _check_answer(answer: Answer, slots: set[str], design: ListeningTest) -> None:
    if set(answer.scores) != slots or set(answer.plays) != slots:
        raise UsageError(f"trial {answer.trial} has samples {', '.join(sorted(slots))}: each needs a score and plays")
    if not {*answer.labels, *answer.marks} <= slots:
        raise UsageError(f"trial {answer.trial}: labels and marks belong to its samples {', '.join(sorted(slots))}")
    if not design.rules.accepts(answer.scores, design.half_points):
        raise UsageError(f"trial {answer.trial}: scores {json.dumps(answer.scores)} are not on the scale")
    if min(answer.plays.values()) < 1:
        raise UsageError(f"trial {answer.trial}: a sample that was not played cannot be scored")


def _vote(row: Row) -> Vote:
    return Vote(**(dict(row._mapping) | {"marks": [Mark(**mark) for mark in row.marks]}))


def _vote_rows(answer: Answer) -> list[dict[str, Any]]:
    shared = {
        "trial": answer.trial,
        "reference_plays": answer.reference_plays,
        "seconds": answer.seconds,
        "shown_at": answer.shown_at,
        "answered_at": answer.answered_at,
        "stored_at": time.time(),
    }
    return [
        shared
        | {
            "slot": slot,
            "score": score,
            "plays": answer.plays[slot],
            "labels": answer.labels.get(slot, []),
            "marks": [asdict(mark) for mark in answer.marks.get(slot, [])],
        }
        for slot, score in answer.scores.items()
    ]


def _one_line(error: Exception) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())
