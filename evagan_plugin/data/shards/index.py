"""Shards as a source of training items: of a shard the bytes of one member are read, of these the seconds asked for."""

import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from evagan_plugin.audio.archive import file_of
from evagan_plugin.audio.recording import Recording, open_recording
from evagan_plugin.data.index_packed import NAMED, PackedIndex, State, check_unique, line_at, write_index
from evagan_plugin.data.shards.tar import HEADER, INDEX, Entry
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.utils.progress import track


class ShardIndex(PackedIndex):
    """Items of a folder of shards, in the order of ``index.tsv``."""

    TABLES = (INDEX,)

    def __init__(self, data: Path, folder: Path, expected: State | None = None) -> None:
        super().__init__(data, folder, expected)
        self._made = self.state

    def __reduce__(self) -> tuple:
        return ShardIndex, (self.data, self.folder, self._made)

    def name(self, number: int) -> str:
        """Return the id of an item."""
        return self._entry(number).utt_id

    @contextmanager
    def open(self, number: int) -> Iterator[Recording]:
        """Open the audio of an item.

        Raises:
            EvaganError: If the shard is missing, shorter than the index says, or has other bytes there.
        """
        entry = self._entry(number)
        place = f"{self.data / entry.shard}:{entry.utt_id}"
        with file_of(self._content(entry), place) as file, open_recording(file) as recording:
            yield replace(recording, path=place)

    def remedy(self) -> str:
        """Return what to do where items cannot be used."""
        return "copy the shards again, or run `evagan shard` again, which makes those that are missing or cut off"

    def at_rate(self, sample_rate: int) -> str:
        """Return what makes shards of these at a rate (Hz)."""
        return f"`evagan shard DATA_DIR OUT --sample-rate {sample_rate}` makes shards of that rate"

    def _entry(self, number: int) -> Entry:
        return Entry.parse(line_at(self._tables[INDEX], int(self._lines[number])), self.data / INDEX)

    def _content(self, entry: Entry) -> bytes:
        shard = self.data / entry.shard
        try:
            with shard.open("rb") as stream:
                stream.seek(entry.offset)
                content = stream.read(entry.size)
        except OSError as error:
            raise EvaganError(f"{shard}: cannot be read: {error.strerror or error}") from error
        where = f"'{entry.utt_id}' ({entry.size} bytes from {entry.offset} on)"
        if len(content) < entry.size:
            raise EvaganError(f"{shard}: truncated: it holds {len(content)} bytes of {where}")
        if zlib.crc32(content) != entry.crc32:
            raise EvaganError(f"{shard}: changed after it was indexed: it has other bytes in the place of {where}")
        return content

    def look_at_shards(self) -> None:
        """Count the items of shards that are missing, or shorter than the index says, as unusable."""
        unusable, reasons = 0, []
        for shard, (end, items) in self.state.files.items():
            path = self.data / shard
            try:
                size = path.stat().st_size
            except OSError as error:
                problem = f"{shard}: {error.strerror or error}"
            else:
                problem = f"{shard}: truncated: {size} bytes, the index states {end} at least" if size < end else ""
            if problem:
                unusable += items
                reasons.append(problem)
        self.state = replace(self._made, unusable=unusable, reasons=tuple(reasons[:NAMED]))

    @classmethod
    def _build(cls, data: Path, folder: Path) -> None:
        state = State(cls._tables_of(data), rates={}, files={})
        lines, seconds, names = array("Q"), array("f"), array("q")
        for offset, entry in track(_entries(data / INDEX), f"index {data}"):
            lines.append(offset)
            seconds.append(entry.samples / entry.sample_rate)
            names.append(hash(entry.utt_id))
            state.rates.setdefault(str(entry.sample_rate), entry.utt_id)
            end, items = state.files.get(entry.shard, (0, 0))
            end = max(end, entry.offset + entry.size, entry.json_offset + entry.json_size)
            state.files[entry.shard] = (end, items + 1)
        check_unique(data / INDEX, names)
        state.utterances, state.hours = len(seconds), sum(seconds) / 3600
        if not state.hours:
            raise UsageError(f"{data}: no item in its {INDEX}: run `evagan shard` again")
        write_index(folder, state, {"lines": lines, "seconds": seconds})


def holds_shards(folder: str | Path) -> bool:
    """Whether a folder is one of shards, finished or not, and no data directory."""
    folder = Path(folder)
    return (folder / INDEX).is_file() or (not (folder / "wav.scp").is_file() and any(folder.glob("*.tar")))


def open_shards(data: str | Path, folder: str | Path) -> ShardIndex:
    """Return the index of a folder of shards, in packed arrays; these are made where ``index.tsv`` has changed since.

    Args:
        data: Folder that ``evagan shard`` has written.
        folder: Where the arrays lie or are to lie.

    Raises:
        UsageError: If ``index.tsv`` is missing or malformed.
        EvaganError: If the arrays cannot be written.
    """
    data = Path(data)
    if not (data / INDEX).is_file():
        raise UsageError(f"{data}: shards without {INDEX}: `evagan shard`, without --part, has not come to its end")
    index = ShardIndex.opened(data, Path(folder))
    index.look_at_shards()
    return index


def _entries(index: Path) -> Iterator[tuple[int, Entry]]:
    """Yield where each line of an index begins (bytes), and what it says."""
    with index.open("rb") as stream:
        offset = len(header := stream.readline())
        if header != HEADER.encode():
            raise UsageError(f"{index}: its first line is not that of this version: run `evagan shard` again")
        for line in stream:
            yield offset, Entry.parse(line, index)
            offset += len(line)
