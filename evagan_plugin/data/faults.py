"""Recordings that turn out to be unreadable: named, counted, refused where they are many."""

import logging
import multiprocessing
from collections.abc import Mapping

from evagan_plugin.errors import EvaganError

logger = logging.getLogger(__name__)

AT_LEAST = 1000
"""Items that a share is taken of, from the first one on."""


class Faults:
    """Counts what a process and its loading workers read, and what they could not.

    Args:
        allowed: Share of the items, those of the first :data:`AT_LEAST` at least, that may be unreadable.
    """

    def __init__(self, allowed: float) -> None:
        self.allowed = allowed
        self._counts = multiprocessing.Array("q", 2)  # which the workers share

    def count(self) -> None:
        """Count an item that could be read."""
        with self._counts.get_lock():
            self._counts[0] += 1

    def add(self, name: str, error: EvaganError) -> None:
        """Count and name one that could not (raises :class:`EvaganError` if it is one too many)."""
        with self._counts.get_lock():
            self._counts[1] += 1
            read, unreadable = self._counts
        number = f"number {unreadable} beside {read} items that could be read"
        if unreadable > self.allowed * max(read + unreadable, AT_LEAST):
            raise EvaganError(
                f"'{name}' cannot be read: {error}; it is {number}, more than max_unreadable {self.allowed:g} allows: "
                "mend the recordings or leave them out"
            ) from error
        logger.warning("'%s' cannot be read, another takes its place: %s (%s)", name, error, number)


def refuse_many(unreadable: Mapping[str, str], total: int, allowed: float) -> None:
    """Raise :class:`EvaganError` if too many items cannot be used.

    Args:
        unreadable: Why, by id.
        total: Number of all items.
        allowed: ``max_unreadable``: share of them that may be unreadable.
    """
    if len(unreadable) > allowed * total:
        first = min(unreadable)
        raise EvaganError(
            f"{len(unreadable)} of {total} items are unreadable, more than max_unreadable {allowed:g} allows; "
            f"the first: {first}: {unreadable[first]}"
        )
