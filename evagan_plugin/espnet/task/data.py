"""Training items for ESPnet's iterators; which stretch of which utterance they hold is said by ``segments``."""

from collections.abc import Iterator

import numpy as np
from espnet2.samplers.abs_sampler import AbsSampler
from espnet2.train.dataset import AbsDataset

from evagan_plugin.data import segments, stream_items
from evagan_plugin.data.segments import SegmentCrop, TrainingItem
from evagan_plugin.data.stream_items import StreamBatches
from evagan_plugin.errors import EvaganError, UsageError

MIX = "mix"
"""Type of data beside ESPnet's own (``sound``, ``kaldi_ark``): a ``mix.yaml``."""


class SegmentSampler(segments.SegmentSampler, AbsSampler):
    """Batches as ESPnet's iterators take them: it gives the sum of its seed and the number of the epoch."""

    def __iter__(self) -> Iterator[list[TrainingItem]]:
        return iter(self.generate(0))


class StreamSampler(stream_items.StreamSampler, AbsSampler):
    """Batches of a mix as ESPnet's iterators take them: its first epoch is 1, and its seed has to be 0."""

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.generate(1))

    def generate(self, epoch: int) -> StreamBatches:
        """Return the batches of an epoch."""
        return super().generate(epoch - 1)


class SegmentDataset(AbsDataset):
    """Stretches of the utterances of an ESPnet dataset.

    Args:
        source: ESPnet's dataset of whole utterances with ``wav`` and perhaps ``feats``.
        crop: What to cut out.
        sample_rate: Rate in Hz that the audio must have.
    """

    def __init__(self, source: AbsDataset, crop: SegmentCrop, sample_rate: int) -> None:
        self.source, self.crop, self.sample_rate = source, crop, sample_rate

    def has_name(self, name: str) -> bool:
        """Whether the dataset has data of this name."""
        return self.source.has_name(name)

    def names(self) -> tuple[str, ...]:
        """Names of the data."""
        return self.source.names()

    def __repr__(self) -> str:
        return repr(self.source)

    def __getitem__(self, item: TrainingItem) -> tuple[str, dict[str, np.ndarray]]:
        """Return the utterance id and its stretch; raises :class:`EvaganError` naming what cannot be used."""
        utterance, draw = item
        return utterance, self.crop(utterance, self.read(utterance), draw)

    def read(self, utterance: str) -> dict[str, np.ndarray]:
        """Return the data of a whole utterance by name; errors as of ``[]``."""
        try:
            _, data = self.source[utterance]
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise EvaganError(f"utterance '{utterance}' cannot be read: {reason}") from error
        # ESPnet's reader of audio files remembers the rate of what it read last.
        rate = getattr(self.source.loader_dict["wav"], "rate", None)
        if rate not in (None, self.sample_rate):
            raise UsageError(f"utterance '{utterance}' has {rate} Hz, the model {self.sample_rate} Hz")
        return data
