"""What the vote store takes and gives."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import ConfigDict, Field

from evagan_plugin.listening.design.design import ARTIFACT_LABELS

Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Label = Annotated[str, Field(pattern=f"^({'|'.join(ARTIFACT_LABELS)})$")]


@dataclass(frozen=True)
class Mark:
    """A time range in which an artifact was heard (seconds from the beginning of the sample)."""

    # For what a page sends, which is checked by pydantic; what the store holds has been checked.
    __pydantic_config__ = ConfigDict(extra="forbid")

    start: Seconds
    end: Seconds
    label: Label


@dataclass(frozen=True)
class Answer:
    """What a rater said about one trial."""

    trial: int
    scores: dict[str, float]
    """By slot."""
    plays: dict[str, int]
    """How often each sample was started, by slot."""
    reference_plays: int = 0
    seconds: float = 0.0
    """From the moment the trial was shown to the answer."""
    shown_at: float = 0.0
    """Time on the rater's clock (seconds since 1970)."""
    answered_at: float = 0.0
    labels: dict[str, list[str]] = field(default_factory=dict)
    """Artifacts heard, by slot."""
    marks: dict[str, list[Mark]] = field(default_factory=dict)
    """By slot."""


@dataclass(frozen=True)
class Vote:
    """One score with its trial; the fields are columns of the tables."""

    rater: int
    trial: int
    position: int
    """Place of the trial in the rater's session, from 0."""
    kind: str
    """``training``, ``test`` or ``check``."""
    item: str
    category: str
    expected: dict[str, list[float]] | None
    """For checks: lowest and highest passing score, by slot."""
    system: str
    audio: str
    slot: str
    score: float
    plays: int
    reference_plays: int
    seconds: float
    """From showing the trial to the answer."""
    shown_at: float
    """On the rater's clock, as the next one; all clocks in seconds since 1970."""
    answered_at: float
    stored_at: float
    """On the server's clock."""
    labels: list[str]
    marks: list[Mark]


@dataclass(frozen=True)
class Participant:
    """Who comes by the open link, as the crowd-sourcing site names them; all None where nobody does."""

    participant: str | None = None
    study: str | None = None
    session: str | None = None
    """One visit of the participant: Prolific's submission."""


@dataclass(frozen=True)
class Rater:
    """Who has a personal link."""

    id: int
    token: str
    code: str
    """Completion code."""
    created_at: float
    consented_at: float | None
    """Start of the session."""
    language: str | None
    headphones: str | None
    """Outcome of the headphone check."""


@dataclass(frozen=True)
class RaterProgress(Rater):
    """A rater and how far they are."""

    answered: int
    """Trials."""
    total: int
    """Trials; 0 before the session begins."""
    last_vote_at: float | None


@dataclass(frozen=True)
class TrialSample:
    """One sample of a trial, as the rater's browser knows it."""

    slot: str
    audio: str


@dataclass(frozen=True)
class Trial:
    """A trial that waits for its answer."""

    id: int
    kind: str
    reference: str | None
    """Audio id of the open reference."""
    samples: tuple[TrialSample, ...]
