"""Training items for Coqui's trainer: recordings (and features beside them) in, segments out."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from evagan_plugin.audio.features import read_features
from evagan_plugin.audio.io import downmix, load_audio, resample
from evagan_plugin.audio.mel import MelConversion
from evagan_plugin.config import MelConfig, VocoderConfig
from evagan_plugin.data.corpus import draw
from evagan_plugin.data.mix import is_mix, read_mix
from evagan_plugin.data.segments import SegmentCrop, SegmentSampler, TrainingItem, stack
from evagan_plugin.data.stream_items import StreamDataset, StreamSampler
from evagan_plugin.data.utterances import files_below, find_utterances
from evagan_plugin.errors import UsageError
from evagan_plugin.utils.stop import keep_workers

Sample = str | os.PathLike | tuple | list | Mapping[str, Any]
"""What Coqui calls a sample: a path (``load_wav_data``), a path and one of features (``load_wav_feat_data``), or a
dict of one of its formatters (``load_tts_samples``)."""


def load_audio_dir(data_path: str | Path, eval_split_size: int) -> tuple[list[str], list[str]]:
    """Find the recordings below a folder: what Coqui's ``load_wav_data`` does, for every format that we read.

    The split depends on the names alone, not on the order in which the file system lists them. Of a ``mix.yaml``
    training takes all, so that it is the one sample for training, and evaluation takes what it names as ``valid``.

    Returns:
        tuple: Paths for evaluation (``eval_split_size`` of them) and for training.

    Raises:
        UsageError: If there is no such folder, or too few in it; if the mix cannot be read.
    """
    if is_mix(data_path):
        valid = read_mix(data_path).valid
        paths = [utterance.source for utterance in find_utterances(valid)] if valid else []
        return draw(paths, eval_split_size, 0), [str(data_path)]
    if not data_path or not Path(data_path).is_dir():
        raise UsageError(f"there is no folder '{data_path}' of recordings: give one with --data_path")
    paths = sorted(map(str, files_below(data_path)))
    check_split(len(paths), data_path, eval_split_size)
    order = np.random.default_rng(0).permutation(len(paths))
    shuffled = [paths[index] for index in order]
    return shuffled[:eval_split_size], shuffled[eval_split_size:]


def check_split(recordings: int, data_path: str | Path, eval_split_size: int) -> None:
    """Raise :class:`UsageError` where evaluation leaves no recording for training."""
    if recordings <= eval_split_size:
        raise UsageError(
            f"{recordings} recordings below {data_path}: more than eval_split_size {eval_split_size} are needed"
        )


def mix_of(samples: Sequence[Sample] | None) -> str | None:
    """Return the ``mix.yaml`` that samples are; None if they are recordings."""
    first = samples[0] if samples else None
    return str(first) if isinstance(first, str | os.PathLike) and is_mix(first) else None


def recordings_of(samples: Sequence[Sample] | None) -> dict[str, str | None]:
    """Return the path of each recording, sorted, and the path of its features or None; ``{}`` of a mix.

    Raises:
        UsageError: If there are none, or a sample is of no kind that Coqui has.
    """
    if not samples:
        raise UsageError(
            "no samples: give train_samples and eval_samples (or set run_eval: false); "
            "of a data_path, eval_split_size recordings are for evaluation and the rest for training, of a mix.yaml "
            "those that it names as valid are for evaluation"
        )
    if mix_of(samples):
        return {}
    found: dict[str, str | None] = {}
    for sample in samples:
        if isinstance(sample, Mapping) and "audio_file" in sample:
            found[str(sample["audio_file"])] = None
        elif isinstance(sample, str | os.PathLike):
            found[str(sample)] = None
        elif isinstance(sample, tuple | list) and len(sample) == 2:
            found[str(sample[0])] = str(sample[1])
        else:
            raise UsageError(f"a sample is a path, a pair of paths, or a dict with audio_file, not {sample!r:.80}")
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Source:
    """Reads recordings and features.

    Args:
        mel: The vocoder's mel.
        resampling: Whether to resample recordings of other rates.
        conversion: From features of an acoustic model to the vocoder's log-mels, (..., n_mels, F) both.
    """

    mel: MelConfig
    resampling: bool
    conversion: MelConversion

    def read_audio(self, path: str) -> np.ndarray:
        """Return one channel (T,); raises :class:`EvaganError` naming the file."""
        wav, sample_rate = load_audio(path)
        ours = self.mel.sample_rate
        if sample_rate != ours and not self.resampling:
            raise UsageError(f"{path} has {sample_rate} Hz, the model {ours} Hz: set audio.resample true")
        return resample(downmix(wav), sample_rate, ours)

    def read_features(self, path: str) -> np.ndarray:
        """Return log-mels (frames, n_mels) of a file (n_mels, frames), as Coqui writes them; raises likewise."""
        features = read_features(path, self.mel, "bands_first")
        return self.conversion(features).numpy().T


class SegmentDataset(Dataset):
    """Stretches of recordings, each with its features where there are any.

    Args:
        recordings: Path of the features, or None, by path of the recording.
        crop: What to cut out.
        source: What recordings and features are.
    """

    def __init__(self, recordings: Mapping[str, str | None], crop: SegmentCrop, source: "Source") -> None:
        self.recordings, self.crop, self.source = recordings, crop, source

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, item: TrainingItem) -> tuple[str, dict[str, np.ndarray]]:
        """Return path and stretch, ``wav`` (frames * hop,) and perhaps ``feats`` (frames, n_mels).

        Raises:
            EvaganError: If a file cannot be used; the message names it.
        """
        path, draw = item
        data = {"wav": self.source.read_audio(path)}
        if self.recordings[path] is not None:
            data["feats"] = self.source.read_features(self.recordings[path])
        return path, self.crop(path, data, draw)


class EpochBatches:
    """Batches of one epoch, from where a run stands.

    Args:
        sampler: All batches of an epoch.
        seed: Added to the number of the epoch.
    """

    def __init__(self, sampler: SegmentSampler | StreamSampler, seed: int = 0) -> None:
        self.sampler, self.seed = sampler, seed
        self.epoch, self.start, self.stop = 0, 0, len(sampler)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[list[TrainingItem] | list[int]]:
        return iter(self.sampler.generate(self.seed + self.epoch)[self.start : self.stop])


def make_loader(
    dataset: SegmentDataset | StreamDataset, sampler: SegmentSampler | StreamSampler, seed: int, workers: int
) -> DataLoader[dict[str, Tensor]]:
    """Return a loader of batches ``waveform`` (B, 1, frames * hop) and perhaps ``mel`` (B, n_mels, frames) and
    ``smoothing`` (B,).

    Where each segment lies is known before the workers start, so their number changes nothing.
    """
    loader = DataLoader(
        dataset,
        batch_sampler=EpochBatches(sampler, seed),
        collate_fn=_collate,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
    )
    keep_workers(loader)
    return loader


def listening_items(recordings: Mapping[str, str | None], vocoder: VocoderConfig, source: Source) -> dict[str, dict]:
    """Return recordings, up to ten seconds of each, as batches of one by file name without suffix."""
    dataset = SegmentDataset(recordings, SegmentCrop.for_listening(vocoder), source)
    return {Path(path).stem: _collate([dataset[path, 0]]) for path in recordings}


def _collate(items: Sequence[tuple[str, dict[str, np.ndarray]]]) -> dict[str, Tensor]:
    _, data = stack(items)
    batch = {"waveform": data["wav"].unsqueeze(1)}
    if "feats" in data:
        # Coqui's trainer would make it contiguous itself, in memory that is not pinned.
        batch["mel"] = data["feats"].transpose(1, 2).contiguous()
    if "smoothing" in data:
        batch["smoothing"] = data["smoothing"]
    return batch
