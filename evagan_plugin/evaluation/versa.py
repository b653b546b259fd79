"""VERSA's result files, both ways: one JSON object per utterance and line, ``key`` and a figure per metric.

VERSA (arXiv 2412.17667) scores one system at a time, so a file is of one system. Loads neither PyTorch nor a metric.
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from evagan_plugin.errors import UsageError, nearest, some
from evagan_plugin.evaluation.metrics.base import Metric
from evagan_plugin.evaluation.scores import GROUND_TRUTH, Scores, UtteranceScore
from evagan_plugin.utils.files import read_text, write_text

KEY = "key"
"""Field with the id of the utterance."""
NAMES = {
    "pesq_wb": "pesq",
    "stoi": "stoi",
    "estoi": "estoi",
    "mcd_world": "mcd",
    "f0_rmse": "f0rmse",
    "f0_corr": "f0corr",
    "speaker_cosine": "spk_similarity",
}
"""VERSA's name of a metric of ours; those that it does not have keep their own."""
LOWER = frozenset({"mcd", "f0rmse", "f0_rmse", "lsd", "ci_sdr_loss", "wer", "cer", "whisper_wer", "whisper_cer"})
HIGHER = frozenset(
    {
        "pesq",
        "stoi",
        "estoi",
        "f0corr",
        "f0_corr",
        "utmos",
        "utmosv2",
        "dns_overall",
        "dns_p808",
        "plcmos",
        "sdr",
        "sir",
        "sar",
        "si_snr",
        "si_sdr",
        "ci_sdr",
        "spk_similarity",
        "visqol",
        "nisqa_mos_pred",
        "sheet_ssqa",
        "srmr",
    }
)
"""Metrics whose better end is known; of any other nothing is said to be the best."""
TINY = "_tiny"
PREFIX = "versa_"
"""Before the name of a column that was read from a file of VERSA: ours of that name may stand beside it."""

VersaFigures = dict[str, dict[str, float]]
"""By utterance id, figures by VERSA's names."""


def write_versa(scores: Scores, path: str | Path) -> list[Path]:
    """Write scores as VERSA does, and return the paths.

    Args:
        scores: Of one system or more.
        path: The file; with several systems, each has its own, ``NAME.SYSTEM.EXT`` for ``NAME.EXT``.

    An utterance has the metrics that are defined for it; bad input is left out.
    """
    path = Path(path)
    systems = [system for system in scores.systems if system != GROUND_TRUTH]
    paths = []
    for system in systems:
        lines = [
            json.dumps({KEY: score.utt_id} | _versa_row(score.values), ensure_ascii=False)
            for score in scores.utterances
            if score.system == system and not score.problem
        ]
        own = path if len(systems) == 1 else path.with_name(f"{path.stem}.{system}{path.suffix}")
        write_text(own, "".join(f"{line}\n" for line in lines))
        paths.append(own)
    return paths


def read_versa(path: str | Path) -> VersaFigures:
    """Read a result file of VERSA; what is not a number (texts, lists, null) is left out.

    Raises:
        UsageError: If a line is no JSON object with a ``key``, a key is there twice, or there is no figure at all.
    """
    found: VersaFigures = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{path}, line {number}: not JSON, of which VERSA writes a line each: {error}") from None
        if not isinstance(row, dict) or not isinstance(row.get(KEY), str):
            raise UsageError(f"{path}, line {number}: no object with a '{KEY}', as VERSA writes")
        if row[KEY] in found:
            raise UsageError(f"{path}, line {number}: '{row[KEY]}' is there twice: give the file of one system")
        found[row[KEY]] = {name: float(value) for name, value in row.items() if _is_figure(value)}
    if not any(found.values()):
        raise UsageError(f"{path}: no figure of any utterance in it")
    return found


def read_versa_of(
    systems: Collection[str], files: Mapping[str, str | Path], utterances: Collection[str]
) -> dict[str, VersaFigures]:
    """Read the files of several systems.

    Args:
        systems: Names that a file may be of.
        files: File by system.
        utterances: Ids, of which each file must have one at least.

    Raises:
        UsageError: For another name, or a file that :func:`read_versa` refuses or that is of other utterances.
    """
    found = {}
    for system, path in files.items():
        if system not in systems:
            raise UsageError(f"{path} is of '{system}', which is not compared: {nearest(system, systems)}")
        found[system] = read_versa(path)
        if not found[system].keys() & set(utterances):
            raise UsageError(f"{path}: none of its utterances ({some(found[system])}) is among those of the reference")
    return found


def with_versa(score: UtteranceScore, files: Mapping[str, VersaFigures]) -> UtteranceScore:
    """Return a score with the figures that VERSA has for its utterance and system."""
    row = files.get(score.system, {}).get(score.utt_id, {})
    own = {PREFIX + name: value for name, value in row.items()}
    sums = {name: (value, 1.0) for name, value in own.items()}
    return replace(score, sums=score.sums | sums, values=score.values | own)


def versa_metrics(files: Mapping[str, VersaFigures]) -> tuple[Metric, ...]:
    """Return the columns of VERSA's figures by system, in the order of their first mention."""
    names = dict.fromkeys(name for figures in files.values() for row in figures.values() for name in row)
    return tuple(
        Metric(
            name=PREFIX + name,
            label=f"{name} (VERSA)",
            unit="",
            better=better(name),
            pooling="mean of utterances",
            definition="read from a result file of VERSA",
        )
        for name in names
    )


def better(name: str) -> Literal["lower", "higher"] | None:
    """Return the better end of a metric of VERSA, by its name; None where it is not known."""
    return "lower" if name in LOWER else "higher" if name in HIGHER else None


def _versa_row(values: Mapping[str, float]) -> dict[str, float]:
    row: dict[str, float] = {}
    # Figures of CREPE's full network come first, which take the name where those of the tiny one are there, too.
    for name in sorted(values, key=lambda name: name.endswith(TINY)):
        theirs = NAMES.get(name.removesuffix(TINY), name)
        if math.isfinite(values[name]):
            row.setdefault(theirs, values[name])
    return row


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
