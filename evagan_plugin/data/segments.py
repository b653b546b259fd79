"""Training items: which stretch of which utterance a batch holds.

Every stretch follows from the seed, the epoch and the place in the epoch alone. So a resumed run sees what the
unbroken one would have seen, several processes together see what one process sees, and the number of loading
workers changes nothing.
"""

import itertools
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch

from evagan_plugin.audio.features import check_frames, check_shape
from evagan_plugin.audio.io import PCM_SCALE, read_header
from evagan_plugin.audio.mel import MelSpectrogram
from evagan_plugin.audio.recording import Recording
from evagan_plugin.config import VocoderConfig
from evagan_plugin.data.augmentation import Augmentation, Change, refuse_given_mels
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.utils.progress import track

LISTENING_SECONDS = 10
"""What is synthesised of a validation utterance for TensorBoard at most."""
READERS = 8
"""Threads that look at audio files."""

TrainingItem = tuple[str, int]
"""Utterance id and a random number that says where to cut it."""


class SegmentSampler:
    """Batches of :data:`TrainingItem` for one of several processes; all processes together hold the batches of one.

    Training: each epoch shuffles all utterances and cuts the list into batches of exactly ``batch_size``; what is
    left over is left out, other utterances in each epoch. Fewer utterances than ``batch_size`` are repeated, cut
    elsewhere. Validation: all utterances in order, cut at the same place in every epoch; a batch has at most
    ``batch_size`` of them, more only where the rest would leave a process without any.

    Args:
        utterances: Ids.
        batch_size: Items per batch over all processes.
        train: Whether to shuffle and draw.
        rank: Number of this process.
        world_size: Number of processes.

    Raises:
        UsageError: If there is not an item for each process.
    """

    def __init__(
        self, utterances: Sequence[str], batch_size: int, train: bool, rank: int = 0, world_size: int = 1
    ) -> None:
        self.utterances, self.batch_size, self.train = list(utterances), batch_size, train
        self.rank, self.world_size = rank, world_size
        check_batch_size(batch_size, world_size)
        if not train and len(self.utterances) < world_size:
            raise UsageError(
                f"{len(self.utterances)} validation utterance(s) for {world_size} processes: each needs one"
            )

    def __len__(self) -> int:
        count = len(self.utterances)
        if self.train:
            return max(count // self.batch_size, 1)
        return max(min(math.ceil(count / self.batch_size), count // self.world_size), 1)

    def generate(self, seed: int) -> list[list[TrainingItem]]:
        """Return the batches of an epoch that has this seed."""
        items = self._drawn(seed) if self.train else [(name, zlib.crc32(name.encode())) for name in self.utterances]
        bounds = np.linspace(0, len(items), len(self) + 1).astype(int)
        batches = [items[start:end] for start, end in itertools.pairwise(bounds)]
        return [batch[self.rank :: self.world_size] for batch in batches]

    def _drawn(self, seed: int) -> list[TrainingItem]:
        generator = np.random.default_rng(seed)
        wanted = len(self) * self.batch_size
        rounds = math.ceil(wanted / len(self.utterances))
        order = np.concatenate([generator.permutation(len(self.utterances)) for _ in range(rounds)])[:wanted]
        draws = generator.integers(2**32, size=wanted)
        return [(self.utterances[index], int(draw)) for index, draw in zip(order, draws, strict=True)]


def check_batch_size(batch_size: int, world_size: int) -> None:
    """Raise :class:`UsageError` if a batch has no item for one of the processes."""
    if batch_size < world_size:
        raise UsageError(f"batch_size {batch_size} is less than the {world_size} processes it is divided among")


@dataclass(frozen=True)
class SegmentCrop:
    """Cuts audio, and features beside it, to the same stretch of whole frames.

    Args:
        hop_length: Samples per frame.
        min_frames: Frames that shorter utterances are padded to: audio with zeros, features with ``silence``.
        max_frames: Frames that longer utterances are cut to.
        silence: Log-mel frame of digital silence (n_mels,).
        augmentation: What is changed at random, or None.
    """

    hop_length: int
    min_frames: int
    max_frames: int
    silence: np.ndarray
    augmentation: Augmentation | None = None

    @classmethod
    def for_training(cls, config: VocoderConfig) -> "SegmentCrop":
        """Exactly ``training.segment_frames`` frames, changed at random as ``training`` says."""
        return replace(cls.for_validation(config), augmentation=Augmentation(config.training))

    @classmethod
    def for_validation(cls, config: VocoderConfig) -> "SegmentCrop":
        """Exactly ``training.segment_frames`` frames, as they are."""
        frames = config.training.segment_frames
        return cls(config.mel.hop_length, frames, frames, _silence(config))

    @classmethod
    def for_listening(cls, config: VocoderConfig) -> "SegmentCrop":
        """Whole utterances of 0.2 s to :data:`LISTENING_SECONDS`."""
        mel = config.mel
        shortest = max(mel.n_fft, mel.sample_rate // 5) // mel.hop_length + 1
        longest = LISTENING_SECONDS * mel.sample_rate // mel.hop_length
        return cls(mel.hop_length, shortest, max(shortest, longest), _silence(config))

    def whole(self, samples: int) -> "SegmentCrop":
        """Return a crop that keeps all of an utterance of so many samples, its end padded to whole frames."""
        frames = max(math.ceil(samples / self.hop_length), self.min_frames)
        return replace(self, min_frames=frames, max_frames=frames)

    def __call__(
        self,
        utterance: str,
        data: Mapping[str, np.ndarray | Recording],
        draw: int,
        part: tuple[int, int] = (0, 1),
        gain: float = 1.0,
    ) -> dict[str, np.ndarray]:
        """Cut one utterance.

        Args:
            utterance: Its id, for errors.
            data: ``wav`` (T,), of which a :class:`Recording` reads the stretch alone; perhaps ``feats`` (F, n_mels),
                where F is T / hop up to :data:`~evagan_plugin.audio.features.FRAMES_TOLERANCE`.
            draw: Random number that says where the stretch begins and how it is changed.
            part: In which part of the utterance it begins, and how many equal ones there are.
            gain: Factor of the samples, beside the one that is drawn.

        Returns:
            ``wav`` (frames * hop,) and, if given, ``feats`` (frames, n_mels); with ``training.mel_smoothing`` also
            ``smoothing`` (), the width of it (frames).

        Raises:
            UsageError: If the shapes do not fit each other or the model.
            EvaganError: If there are no samples, or values that are not finite.
        """
        wav = _mono(utterance, data["wav"])
        change = self.augmentation.draw(draw) if self.augmentation else Change()
        change = replace(change, gain=change.gain * gain)
        available = change.whole_frames(len(wav), self.hop_length)
        if "feats" in data:
            name = f"utterance '{utterance}'"
            if self.augmentation:
                refuse_given_mels(self.augmentation.training, name)
            check_shape(data["feats"].shape, len(self.silence), f"{name}: feats", "frames_first")
            check_frames(len(data["feats"]), len(wav), self.hop_length, name)
            available = min(available, len(data["feats"]))
        frames = min(max(available, self.min_frames), self.max_frames)
        start = _start(max(available - frames, 0) + 1, draw, *part)
        first, samples = start * self.hop_length, frames * self.hop_length
        stretch = change.stretch(wav, first, samples)
        cut = {"wav": np.pad(stretch, (0, samples - len(stretch)))}
        if "feats" in data:
            feats = data["feats"][start : start + frames]
            cut["feats"] = np.concatenate([feats, np.tile(self.silence, (frames - len(feats), 1))])
        if change.smoothing:
            cut["smoothing"] = np.asarray(change.smoothing, np.float32)
        for name, values in cut.items():
            if not np.isfinite(values).all():
                raise EvaganError(f"utterance '{utterance}': {name} has values that are NaN or infinite")
        return cut


def stack(items: Sequence[tuple[str, dict[str, np.ndarray]]]) -> tuple[list[str], dict[str, torch.Tensor]]:
    """Make a batch of items of one length: ids, and tensors (B, ...) by name."""
    utterances = [utterance for utterance, _ in items]
    return utterances, {name: torch.from_numpy(np.stack([data[name] for _, data in items])) for name in items[0][1]}


def _start(starts: int, draw: int, number: int, parts: int) -> int:
    """Draw one of so many starts, among those of one of so many equal parts."""
    lowest, end = (one * starts // parts for one in (number, number + 1))
    return lowest + draw % max(end - lowest, 1)


def _mono[Wave: (np.ndarray, Recording)](utterance: str, wav: Wave) -> Wave:
    """Return audio (T,) as float32 with full scale 1.0."""
    if isinstance(wav, np.ndarray) and wav.ndim != 1:
        raise UsageError(f"utterance '{utterance}': audio of shape {wav.shape}, one channel is needed")
    if not len(wav):
        raise EvaganError(f"utterance '{utterance}': no samples in it")
    if isinstance(wav, Recording):
        return wav
    # Kaldi archives hold 16-bit integers.
    return (wav / PCM_SCALE["PCM_16"] if wav.dtype.kind == "i" else wav).astype(np.float32)


def _silence(config: VocoderConfig) -> np.ndarray:
    zeros = torch.zeros(1, 1, 2 * config.mel.n_fft)
    return MelSpectrogram(config.mel)(zeros)[0, :, 0].numpy()


def unusable_recordings(
    recordings: Mapping[str, str], label: str, sample_rate: int | None = None, mono: bool = True
) -> list[str]:
    """Read the header of every file and return those that cannot be used, as ``utterance (why)``.

    What is inside a file is checked when it is read.

    Args:
        recordings: Path of each utterance.
        label: What the progress is called.
        sample_rate: Rate in Hz that a file must have; None where it will be resampled.
        mono: Whether a file must have one channel.
    """
    with ThreadPoolExecutor(READERS) as pool:
        results = pool.map(lambda path: _problem(path, sample_rate, mono), recordings.values())
        found = track(zip(recordings, results, strict=True), label, total=len(recordings))
        return [f"{utterance} ({problem})" for utterance, problem in found if problem]


def _problem(path: str, sample_rate: int | None, mono: bool) -> str | None:
    if not os.path.isfile(path):
        return f"no file {path}"
    try:
        header = read_header(path)
    except EvaganError as error:
        return str(error)
    if sample_rate not in (None, header.sample_rate):
        return f"{header.sample_rate} Hz, the model has {sample_rate} Hz"
    if mono and header.channels != 1:
        return f"{header.channels} channels"
    return None if header.frames else "no samples"
