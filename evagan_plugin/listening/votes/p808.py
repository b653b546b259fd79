"""Votes in the form that Microsoft's P.808 toolkit reads: one row per finished session, as Mechanical Turk gives it.

The columns are those that ``src/result_parser.py`` of github.com/microsoft/P.808 (commit 5b8c00a, March 2026) reads for
its methods ``acr`` (here ``mos``) and ``dcr`` (here ``smos``); it compares them in lower case but for the three of
:data:`NOT_ASKED`. Columns of its own checks that this test does not make (hearing, arithmetic, pairs of noise) are left
out or empty, which it takes for "not shown". Without ``WorkTimeInSeconds`` it computes no pay.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from evagan_plugin.errors import UsageError
from evagan_plugin.listening.design.design import CHECK, ListeningTest
from evagan_plugin.listening.votes.records import Participant, Vote
from evagan_plugin.listening.votes.store import Store

METHODS = {"mos": "acr", "smos": "dcr"}
"""The toolkit's ``--method`` by protocol."""
SESSION_FIELDS = ("HITId", "AssignmentId", "WorkerId", "AssignmentStatus")
NOT_ASKED = ("Answer.2_birth_year", "Answer.Math", "Answer.t1")
TRAP, TRAP_ANSWER = "Input.TP", "Input.TP_ANS"
GOLD, GOLD_ANSWER = "Input.gold_clips", "Input.gold_clips_ans"
BEST = 5
"""Right answer to a hidden reference."""


@dataclass(frozen=True)
class _Session:
    """One rater's questions in presented order, and which of them have a known answer."""

    questions: list[Vote]
    trap: Vote | None
    gold: Vote | None


def p808_csv(store: Store, design: ListeningTest) -> str:
    """Return the finished sessions as CSV, a row each.

    ``HITId``, ``AssignmentId`` and ``WorkerId`` are the crowd-sourcing site's study, session and participant; where it
    named none, the test's id and the rater's number. A clip's address is ``/SYSTEM/UTTERANCE.wav``. What has a known
    answer:

    - ``acr``: the first attention check is the trapping question, the second (or else the first hidden reference, with
      answer 5) the gold question; further checks are left out.
    - ``dcr``: the toolkit's trapping question is a reference against itself, right at 4 and 5. That is the first
      hidden reference; attention checks are left out.

    Raises:
        UsageError: If the toolkit has no method for the test, or the test lacks its trapping or gold question.
    """
    method = _method(design)
    raters = {rater.id for rater in store.raters() if rater.answered == rater.total > 0}
    votes = defaultdict(list)
    for vote in store.votes():
        if vote.rater in raters and vote.kind != "training":
            votes[vote.rater].append(vote)
    references = set(design.named("reference"))
    arrange = _acr if method == "acr" else _dcr
    sessions = {
        rater: arrange(sorted(votes[rater], key=lambda vote: vote.position), references) for rater in sorted(votes)
    }
    count = max((len(session.questions) for session in sessions.values()), default=0)
    participants = store.participants()
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _fields(method, count), restval="", lineterminator="\n")
    writer.writeheader()
    for rater, session in sessions.items():
        names = _names(rater, participants.get(rater, Participant()), design)
        writer.writerow(names | _known_answers(session, method) | _answers(session.questions, method))
    return stream.getvalue()


def clip_address(vote: Vote) -> str:
    """Return what stands for the clip's address: ``/SYSTEM/UTTERANCE.wav``, for an attention check its audio's id.

    The toolkit looks for the address of a known clip inside that of every clip; the leading slash and the quoted ones
    of the utterance keep one from being part of another.
    """
    return f"/{vote.system}/{vote.audio if vote.system == CHECK else quote(vote.item, safe='')}.wav"


def _method(design: ListeningTest) -> str:
    if design.protocol not in METHODS:
        known = " and ".join(METHODS)
        raise UsageError(f"the P.808 toolkit reads tests with the protocols {known}; this one is {design.protocol}")
    if design.half_points:
        raise UsageError("the P.808 toolkit reads whole scores only; this test has half points")
    method = METHODS[design.protocol]
    checks, hidden = design.checks_per_rater, bool(design.named("reference"))
    if method == "acr" and (not checks or checks + hidden < 2):
        raise UsageError(
            "the P.808 toolkit needs a trapping and a gold question in each session: a test with --checks 2, or "
            "--checks 1 and the hidden reference"
        )
    if method == "dcr" and not hidden:
        raise UsageError("the P.808 toolkit needs a trapping question in each session: a test with hidden reference")
    return method


def _acr(votes: Sequence[Vote], references: set[str]) -> _Session:
    checks = [vote for vote in votes if vote.kind == "check"]
    hidden = _first(votes, lambda vote: vote.system in references)
    known = [*checks[:2], *([hidden] if hidden else [])]
    questions = [vote for vote in votes if vote not in checks[2:]]
    return _Session(questions, trap=known[0], gold=known[1])


def _dcr(votes: Sequence[Vote], references: set[str]) -> _Session:
    questions = [vote for vote in votes if vote.kind != "check"]
    return _Session(questions, trap=_first(questions, lambda vote: vote.system in references), gold=None)


def _first(votes: Iterable[Vote], wanted: Callable[[Vote], bool]) -> Vote | None:
    return next((vote for vote in votes if wanted(vote)), None)


def _fields(method: str, questions: int) -> list[str]:
    known = [TRAP, TRAP_ANSWER, *([GOLD, GOLD_ANSWER] if method == "acr" else [])]
    per_question = [name for number in range(1, questions + 1) for name in _question_fields(method, number)]
    return [*SESSION_FIELDS, *known, *per_question, *NOT_ASKED]


def _question_fields(method: str, number: int) -> list[str]:
    """Address and score of a question, then how often each of its clips was started, and heard to the end."""
    clips = [f"q{number}"] if method == "acr" else [f"q_a{number}", f"q_b{number}"]
    audio = [f"Answer.audio_n_{event}_{clip}" for event in ("play", "finish") for clip in clips]
    return [f"Answer.q{number}_url", f"Answer.q{number}", *audio]


def _names(rater: int, who: Participant, design: ListeningTest) -> dict[str, str]:
    names = (who.study or design.id, who.session or f"rater-{rater}", who.participant or f"rater-{rater}", "Submitted")
    return dict(zip(SESSION_FIELDS, names, strict=True))


def _known_answers(session: _Session, method: str) -> dict[str, object]:
    row: dict[str, object] = {}
    if session.trap:
        row |= {TRAP: clip_address(session.trap), TRAP_ANSWER: _right_score(session.trap)}
    if session.gold and method == "acr":
        row |= {GOLD: clip_address(session.gold), GOLD_ANSWER: _right_score(session.gold)}
    return row


def _right_score(vote: Vote) -> int:
    return int(vote.expected[vote.slot][0]) if vote.expected else BEST


def _answers(questions: Sequence[Vote], method: str) -> dict[str, object]:
    row: dict[str, object] = {}
    for number, vote in enumerate(questions, 1):
        plays = [vote.plays] if method == "acr" else [vote.reference_plays, vote.plays]
        # The page takes no score before all was heard to the end, and does not count how often it was.
        values = [clip_address(vote), int(vote.score), *plays, *(int(count > 0) for count in plays)]
        row |= dict(zip(_question_fields(method, number), values, strict=True))
    return row
