"""The items of a mix: item k of a training is a function of (seed, k) alone.

So k is all the state there is: the items are the same for any number of loading workers, processes and nodes, and a
training that goes on at k with other numbers of them sees what the unbroken one would have seen.

What is mixed is seconds, not files. An utterance of n times an item's length has n equal parts; a pass of a source
takes every part once, in an order drawn anew for each pass, and the item begins at a place drawn within its part. So
each second is heard about once a pass, however the hours are cut into files; a pass over files would take three seconds
of a song of four minutes, and as much of a word that lasts one.
"""

import logging
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evagan_plugin.data.corpus import stable_hash
from evagan_plugin.data.index import open_dir
from evagan_plugin.data.index_packed import PackedIndex
from evagan_plugin.data.mix import Mix, Schedule, Source, read_mix
from evagan_plugin.data.shards.index import holds_shards, open_shards
from evagan_plugin.errors import EvaganError, UsageError

logger = logging.getLogger(__name__)

ROUNDS = 6
"""Of the Feistel network; four make it as good as random for one who sees few of its values (Luby and Rackoff)."""
BLOCK = 4096
"""Utterances whose parts are counted together."""
PROBES = 8
"""Files of a source that are looked at before training, evenly spread."""
WORD = 2**64 - 1


class StreamItem(NamedTuple):
    """One training item."""

    source: int
    """Number of its source."""
    utterance: int
    """Number in the index of the source."""
    part: int
    """In which part of the utterance it begins."""
    parts: int
    """How many the utterance has."""
    draw: int
    """Random number that says where in the part, and how the item is changed."""


class Stream:
    """Endless items of a mix.

    Args:
        mix: What is mixed.
        indexes: Of the sources in use.
        item_seconds: Length of an item.
        seed: Of all that is random.
    """

    def __init__(self, mix: Mix, indexes: Sequence[PackedIndex], item_seconds: float, seed: int) -> None:
        self.mix, self.indexes, self.seed = mix, indexes, seed
        self.schedule = Schedule([source.share for source in mix.used])
        self._parts = [Parts(index.seconds, item_seconds) for index in indexes]

    def __len__(self) -> int:
        """Return the parts of all utterances of all sources."""
        return sum(map(self.size, range(len(self.indexes))))

    def size(self, source: int) -> int:
        """Return the items of a pass of a source: the parts of its utterances."""
        return len(self._parts[source])

    def item(self, k: int, attempt: int = 0) -> StreamItem:
        """Return item k; with an ``attempt`` above 0, one of those that take its place where it cannot be read."""
        source, number = self.schedule[k]
        size = self.size(source)
        if attempt:
            chosen = stable_hash(f"{self.seed} {k} {attempt}") % size
        else:
            passes, place = divmod(number, size)
            chosen = permuted(place, size, _key(self.seed, self.mix.used[source].name, passes))
        return StreamItem(source, *self._parts[source][chosen], stable_hash(f"{self.seed} {k}") % 2**32)

    def name(self, item: StreamItem) -> str:
        """Return source and utterance of an item, as ``speech/p225_001``."""
        return f"{self.mix.used[item.source].name}/{self.indexes[item.source].name(item.utterance)}"

    def report(self, batch_size: int) -> None:
        """Log what a person wants to know of each source."""
        for number, (source, index) in enumerate(zip(self.mix.used, self.indexes, strict=True)):
            share = self.schedule.counts[number] / self.schedule.period
            kind = f" ({source.category})" if source.category else ""
            without = f"; {index.state.unusable} left out: {', '.join(index.state.reasons)}"
            logger.info(
                f"{source.name}{kind}: {share:.4%} of the items, {len(index)} utterances of {index.state.hours:.2f} h, "
                f"{self.size(number)} items per pass, {source.gain_db:+g} dB{without if index.state.unusable else ''}"
            )
            if self.size(number) < batch_size:
                logger.warning(
                    f"source '{source.name}' has {self.size(number)} item(s) per pass, fewer than a batch of "
                    f"{batch_size}: it is soon heard again"
                )


class Parts:
    """The parts of all utterances of a source, numbered through.

    Args:
        seconds: Of each utterance (N,); one of 0 seconds has no part, any other has one at least.
        item_seconds: Length of an item.
    """

    def __init__(self, seconds: np.ndarray, item_seconds: float) -> None:
        self._seconds, self._item_seconds = seconds, np.float32(item_seconds)
        # Sums of blocks in the place of one for each utterance: at ten million a tenth of the time and the memory.
        self._ends = np.cumsum([self._of(first).sum() for first in range(0, len(seconds), BLOCK)])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, number: int) -> tuple[int, int, int]:
        """Return the utterance that a part is of, which of its parts it is, and how many it has."""
        block = int(np.searchsorted(self._ends, number, "right"))
        counts = self._of(block * BLOCK)
        ends = np.cumsum(counts) + (self._ends[block - 1] if block else 0)
        place = int(np.searchsorted(ends, number, "right"))
        return block * BLOCK + place, number - int(ends[place] - counts[place]), int(counts[place])

    def _of(self, first: int) -> np.ndarray:
        seconds = np.asarray(self._seconds[first : first + BLOCK])
        return np.maximum(np.rint(seconds / self._item_seconds), seconds > 0).astype(np.int64)


@lru_cache(maxsize=256)
def _key(seed: int, name: str, passes: int) -> tuple[int, ...]:
    return tuple(stable_hash(f"{seed} {name} {passes} {number}") for number in range(ROUNDS))


def permuted(place: int, size: int, key: tuple[int, ...]) -> int:
    """Return the place of a number below ``size`` in a random order of all of them, without the order itself.

    A Feistel network on a grid that is hardly larger than ``size``: one coordinate in turn is moved by a hash of the
    other. What falls outside goes through it again (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).

    Args:
        place: The number.
        size: How many there are.
        key: A number for each round.
    """
    rows = math.isqrt(size - 1) + 1
    columns = -(-size // rows)
    while True:
        row, column = divmod(place, columns)
        for number, word in enumerate(key):
            if number % 2:
                column = (column + _mixed(row ^ word)) % columns
            else:
                row = (row + _mixed(column ^ word)) % rows
        place = row * columns + column
        if place < size:
            return place


def _mixed(word: int) -> int:
    """Return 64 well mixed bits (the finalizer of SplitMix64, Steele et al. 2014)."""
    word = (word + 0x9E3779B97F4A7C15) & WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & WORD
    return word ^ (word >> 31)


def open_stream(path: str | Path, sample_rate: int, item_samples: int, seed: int) -> Stream:
    """Open what a ``mix.yaml`` describes; indexes of the sources are beside it, in ``NAME.index/SOURCE``.

    Args:
        path: The ``mix.yaml``.
        sample_rate: Rate in Hz that all recordings must have.
        item_samples: Length of an item.
        seed: Of all that is random.

    Raises:
        UsageError: If the description is wrong, or a source cannot be used: missing, empty, of another rate, or with
            more recordings that cannot be opened than ``max_unreadable`` allows.
    """
    path = Path(path)
    mix = read_mix(path)
    folder = path.with_name(f"{path.stem}.index")
    indexes = []
    for source in mix.used:
        try:
            index = open_source(source, folder / source.name)
            _check_source(source, index, sample_rate, mix.max_unreadable)
        except EvaganError as error:
            raise type(error)(f"{path}: source '{source.name}': {error}") from error
        indexes.append(index)
    return Stream(mix, indexes, item_samples / sample_rate, seed)


def open_source(source: Source, folder: Path) -> PackedIndex:
    """Return the utterances of a source; the one place that knows what kinds of source there are."""
    return (open_shards if holds_shards(source.path) else open_dir)(source.path, folder)


def _check_source(source: Source, index: PackedIndex, sample_rate: int, max_unreadable: float) -> None:
    state = index.state
    if state.unusable > max_unreadable * state.utterances:
        raise UsageError(
            f"{source.path}: {state.unusable} of {state.utterances} recordings cannot be used, more than "
            f"max_unreadable {max_unreadable:g} allows: {', '.join(state.reasons)}; {index.remedy()}"
        )
    rates = {int(rate): name for rate, name in (state.rates or {}).items()}
    probes = {*np.linspace(0, len(index) - 1, PROBES).astype(int).tolist(), int(np.argmax(index.seconds))}
    probes = sorted(number for number in probes if index.seconds[number] > 0)
    opened, problem = 0, ""
    for number in probes:
        try:
            with index.open(number) as recording:
                rates.setdefault(recording.sample_rate, index.name(number))
                opened += 1
        except EvaganError as error:
            problem = str(error)
    if not opened:
        raise UsageError(f"{source.path}: not one of {len(probes)} that were tried can be opened: {problem}")
    for rate, name in rates.items():
        if rate != sample_rate:
            raise UsageError(
                f"{source.path}: '{name}' has {rate} Hz, the model {sample_rate} Hz: "
                f"{index.at_rate(sample_rate)}; {index.remedy()}"
            )
