"""What is kept and what is left out: rules applied to rows, duplicates found by fingerprints."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from evagan_plugin.audio.fingerprint import same_sound
from evagan_plugin.config.curation import CurationRules
from evagan_plugin.data.curation.measuring import Row


def sort_out(
    rows: list[Row],
    prints: Mapping[str, np.ndarray],
    rules: CurationRules,
    others: Mapping[str, np.ndarray] | None = None,
) -> list[Row]:
    """Return the rows, each kept or left out with its reason.

    Args:
        rows: As measured.
        prints: Fingerprints by id.
        rules: The rules.
        others: Fingerprints of what other sources have kept, by names that no row has; they go first.
    """
    judged = [_judge(row, rules) for row in rows]
    if rules.max_duplicate_error is None:
        return judged
    kept = {row.utt_id: row for row in judged if row.kept == "yes"}
    others = others or {}
    originals = _originals({name: prints[name] for name in kept if name in prints}, kept, others, rules)
    return [_without_copy(row, originals.get(row.utt_id)) for row in judged]


def _judge(row: Row, rules: CurationRules) -> Row:
    reasons: list[tuple[str, str]] = []
    for column, least, most in rules.limits():
        value = getattr(row, column)
        if value is None:
            continue
        if least is not None and value < least:
            reasons.append((column, f"{column} {value:g} is below min_{column} {least:g}"))
        if most is not None and value > most:
            reasons.append((column, f"{column} {value:g} is above max_{column} {most:g}"))
    if row.cut_by in rules.refuse_cut_by:
        reasons.append(("cut_by", f"cut_by {row.cut_by} at {row.bandwidth:g} Hz is refused"))
    if not reasons:
        return row
    names = tuple(dict.fromkeys(name for name, _ in reasons))
    return replace(row, kept="no", reason="; ".join(text for _, text in reasons), left_out_by=names)


def _originals(
    prints: Mapping[str, np.ndarray],
    rows: Mapping[str, Row],
    others: Mapping[str, np.ndarray],
    rules: CurationRules,
) -> dict[str, str]:
    """Return what each copy is a copy of: of all that sound the same the widest, then the longest, then the first."""

    def rank(name: str) -> tuple:
        return (0,) if name in others else (1, -rows[name].bandwidth, -rows[name].duration, name)

    copies: dict[str, str] = {}
    found: dict[str, set[str]] = {}
    for one, other in same_sound({**others, **prints}, rules.max_duplicate_error):
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    for name in sorted(found, key=rank):
        if name not in copies:  # it stays, and what is like it goes
            copies |= {
                copy: name
                for copy in found[name]
                if copy not in copies and copy not in others and rank(copy) > rank(name)
            }
    return copies


def _without_copy(row: Row, original: str | None) -> Row:
    if original is None:
        return row
    reason = f"sounds like {original}"
    return replace(row, duplicate_of=original, kept="no", reason=reason, left_out_by=("duplicate",))
