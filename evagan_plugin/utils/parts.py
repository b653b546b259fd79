"""Part K of N of a command's work, for arrays of jobs (``--part K/N``).

Parts share an output directory and write no file that another part writes; each keeps a journal of its own. The same
call without ``--part``, after them, takes up all journals, does what is missing and writes the tables.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evagan_plugin.errors import UsageError


@dataclass(frozen=True)
class Part:
    """Part ``number`` of ``count``, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read ``K/N`` (raises :class:`UsageError`)."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise UsageError(f"--part {text}: it is K/N, such as 3/16, with K from 1 to N")
        return cls(int(number), int(count))

    def file(self, path: Path) -> Path:
        """Return this part's own file in the place of ``path``: ``NAME.KofN.SUFFIX``."""
        return path.with_name(f"{path.stem}.{self.number}of{self.count}{path.suffix}")

    def takes(self, number: int) -> bool:
        """Whether a piece of the work, by its number from 0, is in this part: as many in each, to within one."""
        return number % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def in_part[T](part: Part | None, items: Sequence[T], name: Callable[[T], str]) -> list[T]:
    """Return the items of a part in their order, of every ``count``-th name of the sorted list; without one all."""
    if part is None:
        return list(items)
    mine = set(sorted({name(item) for item in items})[part.number - 1 :: part.count])
    return [item for item in items if name(item) in mine]


def files_of_parts(path: Path, part: Part | None = None) -> list[Path]:
    """Return what :meth:`Part.file` named and is there.

    For the whole all such files; for a part those of divisions into another number of parts, which may hold what is
    this part's now.
    """
    found = path.parent.glob(f"{path.stem}.*of*{path.suffix}")
    return sorted(file for file in found if not (part and file.name.endswith(f"of{part.count}{path.suffix}")))
