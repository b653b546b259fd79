"""One shard: a tar file whose bytes follow from what is in it, and what is known of each item in it."""

import io
import tarfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import BinaryIO

from evagan_plugin.errors import UsageError

INDEX = "index.tsv"
"""Lists the items of all shards; there once all are whole."""
SHARD_MEGABYTES = 2000.0
"""Audio of 16 bits in a shard, before FLAC, unless somebody wants another size."""


def shard_name(number: int) -> str:
    """Return the name of a shard, as WebDataset's ``{000000..000042}.tar`` counts them."""
    return f"{number:06d}.tar"


@dataclass(frozen=True)
class Entry:
    """An item in a shard: a line of ``index.tsv``. Offsets and sizes are bytes, of what is in the members."""

    utt_id: str
    shard: str
    offset: int
    """Of the FLAC file."""
    size: int
    json_offset: int
    json_size: int
    samples: int
    sample_rate: int
    """Hz."""
    crc32: int
    """Of the FLAC file."""

    def line(self) -> str:
        """Return it as a line of the index."""
        return "\t".join(str(getattr(self, column)) for column in COLUMNS) + "\n"

    @classmethod
    def parse(cls, line: bytes, index: Path) -> "Entry":
        """Read a line of an index (raises :class:`UsageError` naming the file)."""
        try:
            utt_id, shard, *numbers = line.decode().rstrip("\n").split("\t")
            entry = cls(utt_id, shard, *map(int, numbers))
            if min(entry.offset, entry.size, entry.samples, entry.sample_rate - 1) < 0:
                raise ValueError
        except (TypeError, ValueError):
            shown = line.decode(errors="replace").strip()[:80]
            raise UsageError(f"{index}: '{shown}' is no line of it: run `evagan shard` again") from None
        return entry


COLUMNS = tuple(field.name for field in fields(Entry))
HEADER = "\t".join(COLUMNS) + "\n"


class ShardWriter:
    """Writes a shard to a stream; the same items give the same bytes, whoever writes them and when.

    Args:
        stream: The tar file.
        shard: Its name.
    """

    def __init__(self, stream: BinaryIO, shard: str) -> None:
        self._shard = shard
        # PAX only adds to the plain form (ustar) where a name is long or not ASCII.
        self._tar = tarfile.TarFile(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT)
        self.entries: list[Entry] = []

    def add(self, utt_id: str, flac: bytes, details: bytes, samples: int, sample_rate: int) -> None:
        """Append an item.

        Args:
            utt_id: Its id.
            flac: FLAC file.
            details: JSON file.
            samples: Length.
            sample_rate: In Hz.
        """
        key = member_key(utt_id)
        places = [self._append(f"{key}.{suffix}", content) for suffix, content in (("flac", flac), ("json", details))]
        place, json_place = places
        entry = Entry(
            utt_id, self._shard, place, len(flac), json_place, len(details), samples, sample_rate, zlib.crc32(flac)
        )
        self.entries.append(entry)

    def close(self) -> None:
        """Write the end of the file."""
        self._tar.close()

    def _append(self, name: str, content: bytes) -> int:
        member = tarfile.TarInfo(name)  # owner 0, time 0, mode 0644
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))
        return self._tar.offset - -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def member_key(utt_id: str) -> str:
    """Return an id as it stands in a member's name, where WebDataset takes all after the first dot for a suffix."""
    return utt_id.replace("%", "%25").replace(".", "%2E")
