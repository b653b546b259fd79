"""What is mixed: ``mix.yaml``, and the order in which its sources take turns."""

import heapq
import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat
from pydantic.dataclasses import dataclass

from evagan_plugin.config import load_section
from evagan_plugin.config.fields import STRICT
from evagan_plugin.data.kaldi import BAD_KEY

PARTS = 100_000
"""Items after which the order of the sources repeats, at most: shares are exact where whole numbers of this sum have
their proportions, such as 0.5, 0.45 and 0.05 or 16000 and 20000; any other are rounded to so many parts."""
MIX_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, config=STRICT)
class Source:
    """A corpus that training items are taken from."""

    name: str
    """Comes before an utterance's id in messages (``speech/p225_001``) and decides the source's random order."""
    path: str
    """Kaldi data directory, or shards that ``evagan shard`` made; a relative one counts from the current directory, as
    the paths in a ``wav.scp`` do."""
    share: NonNegativeFloat
    """Part of the items, in proportion to the other shares; 0 leaves the source out."""
    gain_db: float = 0.0
    """What its recordings are raised by (dB); no item is raised beyond full scale."""
    category: str = ""
    """What is to be heard, e.g. ``speech`` or ``music``."""

    @property
    def gain(self) -> float:
        """Factor of the samples."""
        return 10 ** (self.gain_db / 20)

    def __post_init__(self) -> None:
        if BAD_KEY.search(self.name):
            raise ValueError(f"name {self.name!r}: no white space or '/' in it, no '.' at its start")
        if not self.path:
            raise ValueError("path '': a Kaldi data directory or a folder of shards is needed")


@dataclass(frozen=True, config=STRICT)
class Mix:
    """Corpora and how much of the training each of them is."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    max_unreadable: Annotated[float, Field(ge=0.0, le=1.0)] = 0.001
    """Part of the items, and of each source's recordings, that may be unreadable: up to it they are named and others of
    their source taken, beyond it training ends."""
    valid: str = ""
    """Recordings to validate on, a directory or a ``wav.scp``; for hosts that have no option of their own for them."""

    def __post_init__(self) -> None:
        name, times = Counter(source.name for source in self.sources).most_common(1)[0]
        if times > 1:
            raise ValueError(f"sources: {times} have the name '{name}': give each another")
        if not any(source.share for source in self.sources):
            raise ValueError("sources: every share is 0")

    @property
    def used(self) -> tuple[Source, ...]:
        """Sources with a share."""
        return tuple(source for source in self.sources if source.share)


def is_mix(path: str | Path) -> bool:
    """Whether a path is one of a ``mix.yaml``, by its name."""
    return Path(path).suffix.lower() in MIX_SUFFIXES


def read_mix(path: str | Path) -> Mix:
    """Read a ``mix.yaml``.

    Raises:
        ConfigError: If it cannot be read, or a field is unknown, missing or wrong; the path in front.
    """
    return load_section(Mix, path)


class Schedule:
    """Which source an item is of: after any number of items, each source has its share of them to within one item.

    An item that is the j-th of a source with share w must come after floor(j / w) items and before ceil((j + 1) / w) of
    them; that this keeps every count within one of w times the number of items follows at once, and the item that must
    come first always can (Liu and Layland's rule of the earliest deadline; Baruah et al., "Proportionate progress",
    Algorithmica 1996). The order repeats, so one whole number says where it stands.

    Args:
        shares: Of each source, positive.
    """

    def __init__(self, shares: Sequence[float]) -> None:
        self.counts = whole_shares(shares)
        """Items of each source in a period."""
        self.period = sum(self.counts)
        waiting = sorted(
            (item * self.period // count, -(-(item + 1) * self.period // count), source)
            for source, count in enumerate(self.counts)
            for item in range(count)
        )
        self._source = np.zeros(self.period, np.uint16 if len(shares) < 2**16 else np.uint32)
        self._number = np.zeros(self.period, np.uint32)
        done, ready, released = [0] * len(self.counts), [], 0
        for place in range(self.period):
            while released < self.period and waiting[released][0] <= place:
                heapq.heappush(ready, waiting[released][1:])
                released += 1
            _, source = heapq.heappop(ready)
            self._source[place], self._number[place] = source, done[source]
            done[source] += 1

    def __getitem__(self, k: int) -> tuple[int, int]:
        """Return the number of the source of item k, and which of this source's items it is."""
        periods, place = divmod(k, self.period)
        source = int(self._source[place])
        return source, periods * self.counts[source] + int(self._number[place])


def whole_shares(shares: Sequence[float]) -> list[int]:
    """Return whole numbers in the proportions of shares, of a sum of about :data:`PARTS` at most, 1 or more each."""
    exact = [Fraction(repr(float(share))) for share in shares]
    parts = [one / sum(exact) for one in exact]
    period = math.lcm(*(part.denominator for part in parts))
    period = period if period <= PARTS else PARTS
    whole = [max(round(part * period), 1) for part in parts]
    return [one // math.gcd(*whole) for one in whole]
