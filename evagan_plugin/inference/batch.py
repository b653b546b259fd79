"""Synthesis of many utterances: what a user may point at, and the wavs that come out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evagan_plugin.audio.io import AUDIO_SUFFIXES, downmix, load_audio, save_audio
from evagan_plugin.data.kaldi import read_scp, write_table
from evagan_plugin.errors import EvaganError, UsageError, require
from evagan_plugin.inference.vocoder import Vocoder
from evagan_plugin.utils.progress import track

MEL_SUFFIXES = frozenset({".npy", ".pt"})
TABLES = "wav.scp", "feats.scp"


@dataclass(frozen=True)
class Item:
    """One utterance to synthesise."""

    utt_id: str
    source: str
    """Audio file, mel file, or ``ark:offset``."""
    frames_first: bool = False
    """Whether a mel is stored as (F, n_mels), as Kaldi and ESPnet store features."""


def find_items(source: str | Path) -> list[Item]:
    """List the utterances of an audio or mel file, a directory of them, a ``wav.scp`` or a ``feats.scp``.

    A directory without such files may hold one of the tables, as a Kaldi data directory does.

    Raises:
        UsageError: If there is nothing to synthesise.
    """
    path = Path(source)
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in AUDIO_SUFFIXES | MEL_SUFFIXES)
        table = next((path / name for name in TABLES if (path / name).is_file()), None)
        if table and not files:
            return find_items(table)
        items = [Item(p.stem, str(p)) for p in files]
        if len({item.utt_id for item in items}) < len(items):
            raise UsageError(f"{path} has files that differ in their suffix alone: their outputs would collide")
    elif path.suffix == ".scp":
        items = [Item(utt_id, entry, frames_first=True) for utt_id, entry in read_scp(path).items()]
    else:
        items = [Item(path.stem, str(path))]
    if not items:
        raise UsageError(f"{path}: nothing to synthesise (audio: {' '.join(sorted(AUDIO_SUFFIXES))}; mel: .npy .pt)")
    return items


def synthesize_all(vocoder: Vocoder, items: list[Item], out_dir: str | Path) -> dict[str, str]:
    """Synthesise each item to ``out_dir/UTT_ID.wav`` (16 bit) and write ``out_dir/wav.scp``.

    Audio is copy-synthesised and comes out exactly as long as it was (at the vocoder's rate); mels come out with
    frames x hop samples. An item that fails does not stop the others.

    Returns:
        dict: Reason by utterance id of those that failed.
    """
    out_dir = Path(out_dir)
    written, failed = {}, {}
    for item in track(items, "synth"):
        target = out_dir / f"{item.utt_id}.wav"
        try:
            wav = _synthesize(vocoder, item)
            save_audio(target, wav.numpy(), vocoder.sample_rate)
        except EvaganError as error:
            failed[item.utt_id] = str(error)
        else:
            written[item.utt_id] = target
    if written:
        write_table(out_dir / "wav.scp", written)
    return failed


def _synthesize(vocoder: Vocoder, item: Item) -> Tensor:
    if Path(item.source).suffix.lower() in AUDIO_SUFFIXES:
        wav, sample_rate = load_audio(item.source)
        return vocoder.resynthesize(downmix(wav), sample_rate)
    mel = _load_mel(item.source)
    if mel.dim() != 2:
        raise UsageError(f"{item.source}: a mel of two dimensions is expected, not {tuple(mel.shape)}")
    if item.frames_first:
        shape, bands = tuple(mel.shape), vocoder.mel_config.n_mels
        if shape[1] != bands:
            swapped = ": frames and bands are swapped" if shape[0] == bands else ""
            raise UsageError(
                f"{item.source}: the mels of a feats.scp have shape (frames, {bands}), this has {shape}{swapped}"
            )
        mel = mel.transpose(-1, -2)
    try:
        return vocoder.synthesize(mel)
    except UsageError as error:
        raise UsageError(f"{item.source}: {error}") from None


def _load_mel(source: str) -> Tensor:
    """Read features from ``.npy``, ``.pt`` or ``ark:offset``."""
    suffix = Path(source).suffix.lower()
    loaders: dict[str, Callable] = {
        ".npy": lambda: np.load(source),
        ".pt": lambda: torch.load(source, map_location="cpu", weights_only=True),
    }
    loader = loaders.get(suffix) or (lambda: require("kaldiio", "espnet").load_mat(source))
    try:
        mel = torch.as_tensor(loader()).float()
    except EvaganError:
        raise
    except Exception as error:  # each reader has its own kinds
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise EvaganError(f"{source}: not readable as a mel: {reason}") from error
    return mel
