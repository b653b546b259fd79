"""What scoring found: figures of utterances and of the corpus, and the one reader and writer of ``scores.json``.

Loads neither PyTorch nor a metric: whoever only reads scores is as light as this file.
"""

import math
from collections.abc import Container
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from evagan_plugin.data.systems import Unmatched
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.evaluation.alignment import Alignment
from evagan_plugin.evaluation.bootstrap import MetricEstimate, PairedDifference
from evagan_plugin.evaluation.metrics.base import MetricInfo, Sums
from evagan_plugin.utils.files import read_json

GROUND_TRUTH = "ground truth (16 bit)"
"""Name of the system that is the reference itself, copied through a 16-bit WAV."""
NOT_SCORES = (ValueError, AttributeError, TypeError, KeyError)
"""What comes of reading the content of another file."""
PAIR = ("first", "second", "metric")
"""What a comparison is of: all that is text in it."""
METRIC_FIELDS = ("label", "unit", "better", "pooling", "definition")
"""What ``scores.json`` says of a metric, by its name."""


@dataclass(frozen=True)
class UtteranceScore:
    """What one system reached on one utterance."""

    utt_id: str
    system: str
    category: str | None = None
    sums: dict[str, Sums] = field(default_factory=dict)
    """By metric, what corpus figures are pooled from; empty where scores were read back."""
    not_scored: dict[str, str] = field(default_factory=dict)
    """Reason by metric."""
    notes: list[str] = field(default_factory=list)
    """What a reader should know of a pair that was scored."""
    problem: str | None = None
    """Why the pair as a whole is bad input; then there are no figures."""
    alignment: Alignment | None = None
    values: dict[str, float] = field(default_factory=dict)
    """Figure by metric; NaN where it is not defined."""


@dataclass(frozen=True)
class ScoredCorpus:
    """What is scored, by what: known before the first figure and kept with the last."""

    reference: str
    systems: dict[str, str]
    """Where each system's audio came from; the ground truth's, once it is scored, is the reference."""
    sample_rate: int
    """Hz."""
    metrics: tuple[MetricInfo, ...]
    unmatched: list[Unmatched]


@dataclass(frozen=True)
class Scores(ScoredCorpus):
    """Scores of several systems on one corpus."""

    utterances: list[UtteranceScore]
    """Sorted by utterance id, systems in the order given; bad input included."""
    estimates: dict[tuple[str, str | None, str], MetricEstimate]
    """Corpus figures by system, category (None for all) and metric."""
    comparisons: list[PairedDifference]
    """Every pair of systems but the ground truth under every metric, p-values corrected for their number."""

    @property
    def problems(self) -> list[UtteranceScore]:
        """Pairs that could not be scored."""
        return [score for score in self.utterances if score.problem]

    def check_complete(self) -> None:
        """Raise :class:`EvaganError` if an utterance of a system is missing, left over or bad input."""
        lacking = [*self.problems, *self.unmatched]
        if lacking:
            first = lacking[0]
            reason = first.reason if isinstance(first, Unmatched) else first.problem
            raise EvaganError(
                f"{len(lacking)} of {len(self.utterances) + len(self.unmatched)} pairs could not be scored, the first: "
                f"{first.utt_id}, {first.system}: {reason}; all are listed above; --skip-broken accepts this"
            )

    @cached_property
    def categories(self) -> list[str]:
        """Categories of the utterances, sorted; empty without a manifest."""
        return categories_of(self.utterances)

    def estimate(self, system: str, metric: MetricInfo, category: str | None = None) -> MetricEstimate:
        """Return the corpus figure of a system with its interval, of one category or of all."""
        return self.estimates[system, category, metric.name]

    def as_dict(self) -> dict[str, Any]:
        """Return the content of ``scores.json``: plain values; a figure that is not defined is null."""
        return {
            "reference": self.reference,
            "sample_rate": self.sample_rate,
            "metrics": {
                metric.name: {name: getattr(metric, name) for name in METRIC_FIELDS} for metric in self.metrics
            },
            "systems": {
                system: {
                    "path": path,
                    "metrics": self._estimates_dict(system),
                    "categories": {category: self._estimates_dict(system, category) for category in self.categories},
                }
                for system, path in self.systems.items()
            },
            "comparisons": [nulled(vars(difference)) for difference in self.comparisons],
            "utterances": [_utterance_dict(score) for score in self.utterances],
            "unmatched": [vars(unmatched) for unmatched in self.unmatched],
        }

    @classmethod
    def load(cls, path: str | Path) -> "Scores":
        """Read the ``scores.json`` of ``evagan score --out``, or the ``comparison.json`` of ``evagan compare``.

        Raises:
            UsageError: If the file is something else.
        """
        try:
            return cls._from_dict(read_json(path))
        except NOT_SCORES as error:
            raise _no_scores(path, error) from error

    @classmethod
    def _from_dict(cls, content: dict[str, Any]) -> "Scores":
        systems, metrics = content["systems"], content["metrics"]
        utterances = [_utterance_score(entry) for entry in content["utterances"]]
        if unknown := {score.system for score in utterances} - systems.keys():
            raise ValueError(f"its utterances are of systems that it does not have: {', '.join(sorted(unknown))}")
        return cls(
            reference=content["reference"],
            systems={name: system["path"] for name, system in systems.items()},
            sample_rate=content["sample_rate"],
            metrics=tuple(
                MetricInfo(name, **{key: about[key] for key in METRIC_FIELDS}) for name, about in metrics.items()
            ),
            utterances=utterances,
            unmatched=[Unmatched(**entry) for entry in content["unmatched"]],
            estimates={
                (name, category, metric): MetricEstimate(**defined(figures[metric]))
                for name, system in systems.items()
                for category, figures in {None: system["metrics"], **system["categories"]}.items()
                for metric in metrics
            },
            comparisons=[PairedDifference(**defined(entry, PAIR)) for entry in content["comparisons"]],
        )

    def _estimates_dict(self, system: str, category: str | None = None) -> dict[str, Any]:
        return {metric.name: nulled(vars(self.estimate(system, metric, category))) for metric in self.metrics}


def load_figures(path: str | Path) -> dict[str, dict[str, float]]:
    """Read the corpus figures alone from a ``scores.json``, by system and metric; NaN where one is not defined.

    Raises:
        UsageError: If the file is something else.
    """
    content = read_json(path)
    try:
        return {
            system: {metric: defined({"": figures["value"]})[""] for metric, figures in entry["metrics"].items()}
            for system, entry in content["systems"].items()
        }
    except NOT_SCORES as error:
        raise _no_scores(path, error) from error


def _no_scores(path: str | Path, error: Exception) -> UsageError:
    reason = f"there is no {error} in it" if isinstance(error, KeyError) else str(error)
    return UsageError(f"{path}: not a scores.json of `evagan score --out`: {reason}")


def categories_of(utterances: list[UtteranceScore]) -> list[str]:
    """Return the categories of utterances, sorted."""
    return sorted({score.category for score in utterances if score.category is not None})


def nulled(values: dict[str, Any]) -> dict[str, Any]:
    """Return values for JSON, which has no NaN: None in its place."""
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}


def defined(values: dict[str, Any], texts: Container[str] = ()) -> dict[str, Any]:
    """Undo :func:`nulled`.

    Raises:
        TypeError: If a value is no number, and not one of ``texts``.
    """
    for key, value in values.items():
        if value is not None and not isinstance(value, str if key in texts else int | float):
            raise TypeError(f"'{key}' is {value!r:.40}")
    return {key: math.nan if value is None else value for key, value in values.items()}


def _utterance_dict(score: UtteranceScore) -> dict[str, Any]:
    return {
        "utt_id": score.utt_id,
        "system": score.system,
        "category": score.category,
        "values": nulled(score.values),
        "not_scored": score.not_scored,
        "notes": score.notes,
        "problem": score.problem,
        "delay_samples": score.alignment.delay if score.alignment else None,
        "correlation": score.alignment.correlation if score.alignment else None,
    }


def _utterance_score(entry: dict[str, Any]) -> UtteranceScore:
    delay, correlation = entry["delay_samples"], entry["correlation"]
    return UtteranceScore(
        utt_id=entry["utt_id"],
        system=entry["system"],
        category=entry["category"],
        not_scored=entry["not_scored"],
        notes=entry["notes"],
        problem=entry["problem"],
        alignment=None if delay is None else Alignment(delay, correlation),
        values=defined(entry["values"]),
    )
