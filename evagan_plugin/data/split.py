"""The part of a directory that one job of an array works on; light, because it is read before anything heavy."""

from dataclasses import dataclass

from evagan_plugin.data.corpus import stable_hash
from evagan_plugin.errors import UsageError


@dataclass(frozen=True)
class Split:
    """A part of the work: job ``number`` of ``count``, from 1."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Split":
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise UsageError(f"--split {text}: it is I/N, such as 3/16, with I from 1 to N")
        return cls(int(number), int(count))

    def holds(self, source: str) -> bool:
        """Whether the items of an audio file are in this part."""
        return stable_hash(source) % self.count == self.number - 1

    def takes(self, number: int) -> bool:
        """Whether a piece of the work, by its number from 0, is in this part: as many in each, to within one."""
        return number % self.count == self.number - 1
