"""What stands around the tables in every form: what was scored, how pairs are compared, what was left out."""

from evagan_plugin.evaluation.scores import Scores

NAMED_UTTERANCES = 5
"""Utterances that are named after a note; ``utterances.csv`` has the others too."""
FEWEST_COMPARED = 6
"""Utterances; with fewer a paired randomisation test cannot reach p = 0.05."""
DIFFERENCES_NOTE = (
    "Difference over the utterances that both systems have; p of a two-sided paired randomisation test, "
    "Holm-adjusted for all cells of this table."
)


def headline(scores: Scores) -> str:
    """Return what was scored, in a sentence."""
    count = len({score.utt_id for score in scores.utterances})
    return (
        f"{count} utterance{'s' * (count != 1)} of `{scores.reference}` at {scores.sample_rate} Hz; in brackets the "
        "95 % bootstrap interval over utterances."
    )


def comparable(scores: Scores) -> bool:
    """Tell whether there are utterances enough for a paired comparison to find anything."""
    return any(comparison.utterances >= FEWEST_COMPARED for comparison in scores.comparisons)


def remarks(scores: Scores) -> list[str]:
    """Return a line for everything that was left out (every utterance is named), trimmed or looks wrong."""
    left_out: dict[tuple[str, str], list[str]] = {}
    noted: dict[tuple[str, str], list[str]] = {}
    for unmatched in scores.unmatched:
        left_out.setdefault((unmatched.system, f"not scored: {unmatched.reason}"), []).append(unmatched.utt_id)
    for score in scores.utterances:
        if score.problem:
            left_out.setdefault((score.system, f"not scored: {score.problem}"), []).append(score.utt_id)
        reasons: dict[str, list[str]] = {}
        for metric in scores.metrics:
            if metric.name in score.not_scored:
                reasons.setdefault(score.not_scored[metric.name], []).append(metric.label)
        for reason, labels in reasons.items():
            text = f"{', '.join(labels)} not scored: {reason}"
            left_out.setdefault((score.system, text), []).append(score.utt_id)
        for note in score.notes:
            noted.setdefault((score.system, note), []).append(score.utt_id)
    lines = [f"{system}: {text}: {', '.join(ids)}" for (system, text), ids in left_out.items()]
    for (system, text), ids in noted.items():
        more = f" and {len(ids) - NAMED_UTTERANCES} more" if len(ids) > NAMED_UTTERANCES else ""
        lines.append(f"{system}: {text}: {', '.join(ids[:NAMED_UTTERANCES])}{more}")
    return lines
