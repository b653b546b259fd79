"""Raters who come by the open link: one session a participant, and no more raters than the test wants.

A rater holds a place from their arrival or start until an unfinished session has been without a sign of life (arrival,
start or vote) for ``place_minutes``; a finished session holds its place for good. Somebody new gets in while places are
left. A session that has begun can always be gone on with, so that a test may end with a few raters more than its limit.
All functions run inside a transaction of the store.
"""

import secrets
import time
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, insert, or_, select, update

from evagan_plugin.errors import UsageError
from evagan_plugin.listening.design.crowd import Crowd
from evagan_plugin.listening.votes.records import Participant
from evagan_plugin.listening.votes.sessions import answered
from evagan_plugin.listening.votes.tables import arrivals, raters, trials, votes


class AdmissionError(UsageError):
    """Somebody who cannot take part.

    Args:
        reason: ``participant`` (no usable id), ``again`` (took part already) or ``full``; the page has words for each.
        message: One line.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def new_rater() -> dict[str, Any]:
    """Return the row of a rater with a token and a completion code of their own."""
    return {"token": secrets.token_urlsafe(18), "code": secrets.token_hex(4).upper(), "created_at": time.time()}


def arrive(connection: Connection, who: Participant, crowd: Crowd) -> str:
    """Return the personal token of who comes by the open link: a new rater's, or that of their unfinished session.

    Who comes again after the end gets in only with the session (the submission) that they finished: they see its end.

    Raises:
        AdmissionError: If the participant took part already, or no place is left.
    """
    seen = asdict(who) | {"arrived_at": time.time()}
    if who.participant is not None:
        query = select(raters.c.id, raters.c.token, arrivals.c.session, _finished().label("finished")).join(arrivals)
        known = connection.execute(query.where(arrivals.c.participant == who.participant)).first()
        if known:
            if known.finished and (who.session is None or who.session != known.session):
                raise AdmissionError("again", f"participant {who.participant} has taken part already")
            given = {name: value for name, value in seen.items() if value is not None}
            connection.execute(update(arrivals).where(arrivals.c.rater == known.id).values(given))
            return known.token
    check_place(connection, crowd)
    row = new_rater()
    rater = connection.execute(insert(raters).values(row)).inserted_primary_key[0]
    connection.execute(insert(arrivals).values(seen | {"rater": rater}))
    return row["token"]


def check_place(connection: Connection, crowd: Crowd, rater: int | None = None) -> None:
    """Raise :class:`AdmissionError` if no place is left for somebody new, or for the rater if they hold none."""
    if crowd.max_raters is None:
        return
    holders = places(connection, crowd)
    if rater not in holders and len(holders) >= crowd.max_raters:
        raise AdmissionError("full", f"the test has its {crowd.max_raters} raters")


def places(connection: Connection, crowd: Crowd) -> set[int]:
    """Return the raters who hold a place."""
    since = time.time() - 60 * crowd.place_minutes
    arrived = exists().where(arrivals.c.rater == raters.c.id, arrivals.c.arrived_at > since)
    voted = exists().where(trials.c.rater == raters.c.id, votes.c.trial == trials.c.id, votes.c.stored_at > since)
    holds = or_(_finished(), raters.c.consented_at > since, arrived, voted)
    return set(connection.scalars(select(raters.c.id).where(holds)))


def _finished() -> ColumnElement[bool]:
    mine = trials.c.rater == raters.c.id
    return exists().where(mine) & ~exists().where(mine, ~answered())
