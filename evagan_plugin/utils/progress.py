"""Progress of long work: a bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Iterable, Iterator

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


def track[T](items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yield the items and show on standard error how many are done.

    Args:
        items: What to go through.
        label: What is being done, e.g. ``"synth"``.
        total: Number of items; taken from ``len(items)`` where it has one.
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items)
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, total=total, leave=False)
        return
    start = last = time.monotonic()
    count = 0
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and count != total:
            last = now
            say(f"{label}: {count}/{total if total is not None else '?'}, {now - start:.0f} s")
    say(f"{label}: {count} done in {time.monotonic() - start:.1f} s")


def say(text: str) -> None:
    """Write a line to standard error, at once: what begins now and takes a while."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
