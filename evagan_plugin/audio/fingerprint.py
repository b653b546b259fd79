"""Fingerprints of chromaprint (the program fpcalc), and what sounds the same by them."""

import json
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from evagan_plugin.errors import EvaganError

PROGRAM = "fpcalc"
MISSING = "fpcalc is not installed (Debian: libchromaprint-tools): duplicates are not sought"
COMMON = 50
"""A value that more recordings than these share (silence, a tone) says nothing."""
SHARED = 4
"""So many values two recordings must share at one shift to be compared."""
OVERLAP = 0.8
"""Part of the shorter recording that must lie in the longer one."""
LEAST_OVERLAP = 8
"""Values, a second: what is shorter is not compared."""


def has_fpcalc() -> bool:
    return shutil.which(PROGRAM) is not None


def fingerprint(mono: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the fingerprint of samples ``(T,)``: 32 bits for each 0.124 s, none of less than about 2.6 s.

    Raises:
        EvaganError: If fpcalc fails.
    """
    samples = (mono.clip(-1, 1) * 32767).astype("<i2").tobytes()
    command = [PROGRAM, "-raw", "-json", "-length", "0", "-format", "s16le", "-rate", str(sample_rate)]
    done = subprocess.run([*command, "-channels", "1", "-"], input=samples, capture_output=True, check=False)
    try:
        # Its exit status is 3 at the end of any pipe.
        return np.array(json.loads(done.stdout)["fingerprint"], np.uint32)
    except (ValueError, KeyError):
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        if any("Empty fingerprint" in line for line in reason):
            return np.zeros(0, np.uint32)
        raise EvaganError(f"{PROGRAM} failed: {reason[-1] if reason else f'status {done.returncode}'}") from None


def same_sound(prints: Mapping[str, np.ndarray], largest_error: float) -> Iterator[tuple[str, str]]:
    """Yield pairs of names whose recordings sound the same over most of the shorter one.

    Args:
        prints: Fingerprints by name.
        largest_error: Share of bits that may differ where two lie over each other: about 0.02 for a good codec, 0.15
            for a poor one, 0.5 for unrelated sound.
    """
    names = sorted(name for name, values in prints.items() if len(values) >= LEAST_OVERLAP)
    for (one, other), shifts in sorted(_candidates(names, prints).items()):
        for shift, count in shifts.most_common(3):
            if count >= SHARED and _error(prints[names[one]], prints[names[other]], shift) <= largest_error:
                yield names[one], names[other]
                break


def _candidates(names: list[str], prints: Mapping[str, np.ndarray]) -> dict[tuple[int, int], Counter]:
    """Return the pairs that share values, with how many at which shift."""
    if not names:
        return {}
    values = np.concatenate([prints[name] for name in names])
    owners = np.repeat(np.arange(len(names)), [len(prints[name]) for name in names])
    places = np.concatenate([np.arange(len(prints[name])) for name in names])
    order = np.argsort(values, kind="stable")
    values, owners, places = values[order], owners[order], places[order]
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    found: dict[tuple[int, int], Counter] = defaultdict(Counter)
    for start, end in zip(starts, [*starts[1:], len(values)], strict=True):
        if end - start < 2 or owners[start] == owners[end - 1] or end - start > COMMON:
            continue
        for first in range(start, end):
            for second in range(first + 1, end):
                if owners[first] != owners[second]:
                    found[int(owners[first]), int(owners[second])][int(places[first] - places[second])] += 1
    return found


def _error(one: np.ndarray, other: np.ndarray, shift: int) -> float:
    """Return the share of differing bits where ``one`` moved by ``shift`` lies over ``other``; 1 if too short."""
    first, second = one[max(shift, 0) :], other[max(-shift, 0) :]
    length = min(len(first), len(second))
    if length < max(OVERLAP * min(len(one), len(other)), LEAST_OVERLAP):
        return 1.0
    return float(np.bitwise_count(first[:length] ^ second[:length]).sum() / (32 * length))
