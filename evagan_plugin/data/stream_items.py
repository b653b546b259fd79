"""The items of a stream as a data loader takes them: batches of numbers, and what each number stands for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evagan_plugin.config import VocoderConfig
from evagan_plugin.data.faults import Faults
from evagan_plugin.data.segments import SegmentCrop, check_batch_size
from evagan_plugin.data.stream import Stream, StreamItem, open_stream
from evagan_plugin.errors import EvaganError

ATTEMPTS = 20
"""Utterances that are tried for an item."""


class StreamDataset:
    """Reads the items of a stream, by their numbers k.

    Args:
        stream: The items.
        crop: What is cut out.
        sample_rate: Rate in Hz that recordings must have.
    """

    def __init__(self, stream: Stream, crop: SegmentCrop, sample_rate: int) -> None:
        self.stream, self.crop, self.sample_rate = stream, crop, sample_rate
        self.faults = Faults(stream.mix.max_unreadable)

    @classmethod
    def for_training(cls, path: str | Path, config: VocoderConfig, seed: int) -> "StreamDataset":
        """Return the training items of a ``mix.yaml`` for a vocoder; errors as of ``open_stream``."""
        samples = config.training.segment_frames * config.mel.hop_length
        stream = open_stream(path, config.mel.sample_rate, samples, seed)
        return cls(stream, SegmentCrop.for_training(config), config.mel.sample_rate)

    def __getitem__(self, k: int) -> tuple[str, dict[str, np.ndarray]]:
        """Return source and utterance of item k, and ``wav`` (frames * hop,) and perhaps ``smoothing`` ().

        In the place of an utterance that cannot be read comes another of its source, always the same one.

        Raises:
            EvaganError: If more cannot be read than ``max_unreadable`` allows.
        """
        for attempt in range(ATTEMPTS):
            item = self.stream.item(k, attempt)
            name = self.stream.name(item)
            try:
                data = self._cut(name, item)
            except EvaganError as error:
                self.faults.add(name, error)
            else:
                self.faults.count()
                return name, data
        raise EvaganError(f"item {k}: {ATTEMPTS} utterances of its source in turn cannot be read, the last is {name}")

    def _cut(self, name: str, item: StreamItem) -> dict[str, np.ndarray]:
        with self.stream.indexes[item.source].open(item.utterance) as recording:
            if recording.sample_rate != self.sample_rate:
                raise EvaganError(f"{recording.path} has {recording.sample_rate} Hz, the model {self.sample_rate} Hz")
            gain = self.stream.mix.used[item.source].gain
            return self.crop(name, {"wav": recording}, item.draw, (item.part, item.parts), gain)


class StreamBatches(Sequence):
    """Batches of item numbers for one of several processes, without a list of them.

    Args:
        starts: First item of each batch of all processes together.
        batch_size: Items of one.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(self, starts: range, batch_size: int, rank: int, world_size: int) -> None:
        self.starts, self.batch_size, self.rank, self.world_size = starts, batch_size, rank, world_size

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, place: int | slice) -> "list[int] | StreamBatches":
        if isinstance(place, slice):
            return StreamBatches(self.starts[place], self.batch_size, self.rank, self.world_size)
        start = self.starts[place]
        return list(range(start + self.rank, start + self.batch_size, self.world_size))

    def __delitem__(self, done: slice) -> None:
        """Leave out the first batches."""
        self.starts = self.starts[done.stop :]


class StreamSampler:
    """Batches of a stream for one of several processes, as a ``SegmentSampler`` gives those of one data directory.

    Args:
        stream: The items.
        batch_size: Items a batch over all processes.
        batches: Batches of an epoch; None for as many as a pass of all sources has items.
        rank: Number of this process.
        world_size: Number of processes.

    Raises:
        UsageError: If there is not an item for each process.
    """

    def __init__(
        self, stream: Stream, batch_size: int, batches: int | None = None, rank: int = 0, world_size: int = 1
    ) -> None:
        check_batch_size(batch_size, world_size)
        self.batch_size, self.rank, self.world_size = batch_size, rank, world_size
        self.batches = batches or max(len(stream) // batch_size, 1)

    def __len__(self) -> int:
        return self.batches

    def generate(self, epoch: int) -> StreamBatches:
        """Return the batches of an epoch; the first one is 0."""
        first, items = epoch * self.batches * self.batch_size, self.batches * self.batch_size
        return StreamBatches(range(first, first + items, self.batch_size), self.batch_size, self.rank, self.world_size)
