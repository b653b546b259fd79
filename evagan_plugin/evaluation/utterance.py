"""Scores of one utterance: reading, checks, and every metric of every system."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evagan_plugin.audio.io import downmix, load_audio, save_audio
from evagan_plugin.audio.mel import metric_mel
from evagan_plugin.data.systems import MatchedUtterance
from evagan_plugin.errors import EvaganError, LibraryError, library_errors
from evagan_plugin.evaluation.alignment import align
from evagan_plugin.evaluation.metrics.base import Family, NotScored, Sums
from evagan_plugin.evaluation.scores import GROUND_TRUTH, UtteranceScore

SPEECH = "speech"
"""Category to which speech metrics apply, in any case; utterances without a category count as speech."""
FULL_SCALE = 32767 / 32768
CLIPPED_SAMPLES = 3
"""So many samples at or beyond full scale count as clipping."""


def score_item(item: MatchedUtterance, families: Sequence[Family], ground_truth: bool = False) -> list[UtteranceScore]:
    """Score every system on one utterance; the reference is read and analysed once.

    Bad input becomes the ``problem`` of the scores that it spoils. ``families`` must be prepared.
    """
    systems = list(item.hypotheses) + [GROUND_TRUTH] * ground_truth
    try:
        wav, sample_rate, _ = _read(item.reference)
        if not wav.any():
            raise EvaganError(f"{item.reference}: silent: there is nothing to compare with")
    except EvaganError as error:
        return [UtteranceScore(item.utt_id, name, item.category, problem=f"reference: {error}") for name in systems]
    known = _AnalysedReference(item, families, wav, sample_rate)
    return [known.score(name) for name in systems]


class _AnalysedReference:
    """A reference and what the families know of it, kept for all systems."""

    def __init__(self, item: MatchedUtterance, families: Sequence[Family], wav: np.ndarray, sample_rate: int):
        self.item = item
        self.families = families
        self.wav = wav
        self.sample_rate = sample_rate
        self._analyses: dict[tuple[int, int], Any] = {}

    def score(self, system: str) -> UtteranceScore:
        """Score one system."""
        who = (self.item.utt_id, system, self.item.category)
        try:
            hypothesis, notes = self._hypothesis(system)
            length = self._common_length(hypothesis.size)
        except EvaganError as error:
            return UtteranceScore(*who, problem=str(error))
        if length != max(self.wav.size, hypothesis.size):
            longer = "longer" if hypothesis.size > length else "shorter"
            notes.append(f"{abs(hypothesis.size - self.wav.size)} samples {longer} than the reference, trimmed")
        reference, hypothesis = self.wav[:length], hypothesis[:length]
        if not hypothesis.any():
            notes.append("silent")
        alignment = align(reference, hypothesis, self.sample_rate)
        if note := alignment.note(self.sample_rate):
            notes.append(note)
        sums: dict[str, Sums] = {}
        values: dict[str, float] = {}
        not_scored: dict[str, str] = {}
        for family in self.families:
            try:
                with library_errors("its library fails", NotScored):
                    found = self._compare(family, reference, hypothesis)
                sums.update(found)
                values.update({metric.name: metric.value(found[metric.name]) for metric in family.metrics})
            except (NotScored, LibraryError) as reason:
                not_scored.update({metric.name: str(reason) for metric in family.metrics})
        return UtteranceScore(*who, sums, not_scored, notes, alignment=alignment, values=values)

    def _compare(self, family: Family, reference: np.ndarray, hypothesis: np.ndarray) -> Mapping[str, Sums]:
        category = self.item.category
        if category is not None and category.lower() != SPEECH and family.metrics[0].speech_only:
            raise NotScored(f"not defined for category '{category}'")
        key = (id(family), reference.size)
        if key not in self._analyses:
            self._analyses[key] = family.analyse(reference, self.sample_rate)
        return family.compare(self._analyses[key], family.analyse(hypothesis, self.sample_rate))

    def _hypothesis(self, system: str) -> tuple[np.ndarray, list[str]]:
        if system == GROUND_TRUTH:
            return _through_16_bit(self.wav, self.sample_rate), []
        path = self.item.hypotheses[system]
        wav, sample_rate, notes = _read(path)
        if sample_rate != self.sample_rate:
            raise EvaganError(f"{path}: {sample_rate} Hz, the reference has {self.sample_rate} Hz")
        return wav, notes

    def _common_length(self, length: int) -> int:
        hop = metric_mel(self.sample_rate).hop_length
        if abs(length - self.wav.size) > hop:
            raise EvaganError(
                f"{length} samples, the reference has {self.wav.size}: they differ by more than one hop ({hop})"
            )
        return min(length, self.wav.size)


def _read(path: Path) -> tuple[np.ndarray, int, list[str]]:
    """Return samples ``(T,)``, rate, and notes on the file."""
    wav, sample_rate = load_audio(path)
    notes = [f"{len(wav)} channels, mean taken"] if len(wav) > 1 else []
    clipped = int(np.count_nonzero(np.abs(wav) >= FULL_SCALE))
    if clipped >= CLIPPED_SAMPLES:
        notes.append(f"clipped: {clipped} samples at full scale")
    return downmix(wav), sample_rate, notes


def _through_16_bit(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.wav"
        save_audio(path, wav, sample_rate)
        return load_audio(path)[0][0]
