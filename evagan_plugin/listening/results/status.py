"""How far a listening test is."""

from collections import Counter
from dataclasses import asdict, dataclass

from evagan_plugin.listening.design.design import ListeningTest
from evagan_plugin.listening.votes.records import Participant
from evagan_plugin.listening.votes.store import Store


@dataclass(frozen=True)
class RaterCounts:
    """How many raters there are."""

    invited: int
    """With a link."""
    started: int
    finished: int


@dataclass(frozen=True)
class RaterStatus:
    """How far a rater is who has begun."""

    rater: int
    answered: int
    total: int
    language: str | None
    headphones: str | None
    """Outcome of the headphone check."""
    last_vote_at: float | None
    """Seconds since 1970."""
    participant: str | None
    """Id that the crowd-sourcing site gave them, as the next two."""
    study: str | None
    session: str | None


@dataclass(frozen=True)
class Status:
    """How far a test is; what ``/api/admin/status`` answers."""

    votes: int
    """On trials that count: practice and attention checks are left out."""
    votes_by_system: dict[str, int]
    raters: RaterCounts
    trials_left: int
    """Of those who have begun."""
    places_taken: int
    """Raters who finished, or whose session is open."""
    max_raters: int | None
    """How many places there are."""
    by_rater: list[RaterStatus]


def status_of(design: ListeningTest, store: Store) -> Status:
    """Return how far a test is."""
    raters, participants = store.raters(), store.participants()
    counts = Counter(vote.system for vote in store.votes() if vote.kind == "test")
    started = [rater for rater in raters if rater.consented_at is not None]
    return Status(
        votes=sum(counts.values()),
        votes_by_system={system.name: counts[system.name] for system in design.systems},
        raters=RaterCounts(len(raters), len(started), sum(rater.answered == rater.total for rater in started)),
        trials_left=sum(rater.total - rater.answered for rater in started),
        places_taken=len(store.places(design.crowd)),
        max_raters=design.crowd.max_raters,
        by_rater=[
            RaterStatus(
                rater.id,
                rater.answered,
                rater.total,
                rater.language,
                rater.headphones,
                rater.last_vote_at,
                **asdict(participants.get(rater.id, Participant())),
            )
            for rater in started
        ],
    )
