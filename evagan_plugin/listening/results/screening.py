"""Which raters did not do what was asked. Nothing is deleted: exclusion is a choice of each report."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from evagan_plugin.listening.design.protocols import ListeningProtocol
from evagan_plugin.listening.votes.records import Vote

FEWEST_VOTES = 5
"""Fewer votes than this are no ground to judge a rater by."""


@dataclass(frozen=True)
class ScreeningRules:
    """Limits; a rater beyond any of them is excluded, with the reason."""

    failed_checks: float = 1 / 3
    """Largest part of attention checks that may be failed."""
    low_references: float = 0.15
    """Largest part of hidden references scored below the protocol's floor (ITU-R BS.1534-3, section 4.1.2)."""
    too_fast: float = 0.15
    """Largest part of answers given in less time than the samples last."""
    constant: bool = True
    """Exclude who gives one score to everything."""


@dataclass
class RaterRecord:
    """What a rater's votes show."""

    rater: int
    votes: int = 0
    checks: int = 0
    failed_checks: int = 0
    references: int = 0
    low_references: int = 0
    answers: int = 0
    fast_answers: int = 0
    scores: list[float] = field(default_factory=list)

    def reasons(self, rules: ScreeningRules, protocol: ListeningProtocol) -> list[str]:
        """Return why the rater is to be excluded; empty if there is no reason."""
        found = []
        if self.checks and self.failed_checks / self.checks > rules.failed_checks:
            found.append(f"failed {self.failed_checks} of {self.checks} attention checks")
        if self.references and self.low_references / self.references > rules.low_references:
            floor = f"{protocol.reference_floor:g}"
            found.append(f"scored {self.low_references} of {self.references} hidden references below {floor}")
        enough = self.votes >= FEWEST_VOTES
        if rules.constant and enough and protocol.samples != "pair" and np.ptp(self.scores) == 0:
            found.append(f"gave {self.scores[0]:g} to all {self.votes} samples")
        if enough and self.fast_answers / self.answers > rules.too_fast:
            found.append(f"answered {self.fast_answers} of {self.answers} trials faster than their samples last")
        return found


@dataclass(frozen=True)
class Exclusion:
    """A rater who is left out, or was kept by hand, and why."""

    rater: int
    votes: int
    reasons: list[str]


def review(
    votes: Iterable[Vote], protocol: ListeningProtocol, references: Iterable[str], seconds: Mapping[str, float]
) -> dict[int, RaterRecord]:
    """Go through all votes and return a record of each rater.

    Args:
        votes: All votes of the test.
        protocol: The test's protocol.
        references: Names of hidden references.
        seconds: Length of each item.
    """
    references = set(references)
    records: dict[int, RaterRecord] = {}
    trials: dict[int, list[Vote]] = defaultdict(list)
    for vote in votes:
        trials[vote.trial].append(vote)
    for slots in trials.values():
        first = slots[0]
        record = records.setdefault(first.rater, RaterRecord(first.rater))
        if first.kind == "check":
            record.checks += 1
            record.failed_checks += not _passed(slots)
        if first.kind != "test":
            continue
        record.answers += 1
        record.fast_answers += first.seconds < _shortest_time(slots, protocol, seconds[first.item])
        for vote in slots:
            record.votes += 1
            record.scores.append(vote.score)
            if vote.system in references and protocol.reference_floor is not None:
                record.references += 1
                record.low_references += vote.score < protocol.reference_floor
    return records


def exclusions(
    records: Mapping[int, RaterRecord],
    rules: ScreeningRules | None,
    protocol: ListeningProtocol,
    by_hand: Collection[int] = (),
    keep: Collection[int] = (),
) -> tuple[list[Exclusion], list[Exclusion]]:
    """Return who is left out, and who would have been but for ``keep``; in order of their numbers.

    Args:
        records: What :func:`review` found.
        rules: Limits; ``None`` screens nobody.
        protocol: The test's protocol.
        by_hand: Raters who are left out whatever the screening finds.
        keep: Raters who stay whatever the screening finds.
    """
    out, pardoned = [], []
    for rater in sorted(records):
        record = records[rater]
        reasons = record.reasons(rules, protocol) if rules else []
        if rater in by_hand:
            reasons = ["excluded by hand", *reasons]
        if reasons:
            (pardoned if rater in keep else out).append(Exclusion(rater, record.votes, reasons))
    return out, pardoned


def _passed(slots: list[Vote]) -> bool:
    expected = slots[0].expected or {}
    scores = {vote.slot: vote.score for vote in slots}
    return all(slot in scores and low <= scores[slot] <= high for slot, (low, high) in expected.items())


def _shortest_time(slots: list[Vote], protocol: ListeningProtocol, seconds: float) -> float:
    """How long the rules of the protocol make hearing the samples last."""
    return protocol.must_hear * seconds * (len(slots) + protocol.with_reference)
