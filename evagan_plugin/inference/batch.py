"""Synthesis of many utterances."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evagan_plugin.audio.features import read_features
from evagan_plugin.audio.io import downmix, load_audio, resample, save_audio
from evagan_plugin.data.kaldi import write_table
from evagan_plugin.data.utterances import Utterance
from evagan_plugin.errors import EvaganError, UsageError, library_errors
from evagan_plugin.inference.stream import CopyStream, Stream
from evagan_plugin.inference.vocoder import Vocoder
from evagan_plugin.utils.progress import track


def synthesize_all(
    vocoder: Vocoder, utterances: Sequence[Utterance], out_dir: str | Path, chunk_frames: int | None = None
) -> dict[str, str]:
    """Synthesise each utterance to ``out_dir/UTT_ID.wav`` (16 bit) and write ``out_dir/wav.scp``.

    Audio is copy-synthesised and comes out exactly as long as it was (at the vocoder's rate); mels come out with
    frames x hop samples. An utterance that fails does not stop the others.

    Args:
        vocoder: The vocoder.
        utterances: Audio and mels.
        out_dir: Where to.
        chunk_frames: Mel frames to synthesise at a time, with the same result; all of an utterance when None.

    Returns:
        dict: Reason by utterance id of those that failed.

    Raises:
        UsageError: If there are chunks, and the vocoder cannot stream.
    """
    if chunk_frames:
        vocoder.stream(chunk_frames)  # what cannot stream says so before the first utterance
    out_dir = Path(out_dir)
    written, failed = {}, {}
    for utterance in track(utterances, "synth"):
        target = out_dir / f"{utterance.utt_id}.wav"
        try:
            with library_errors(utterance.source):
                wav = _synthesize(vocoder, utterance, chunk_frames)
                save_audio(target, wav.numpy(), vocoder.sample_rate)
        except EvaganError as error:
            failed[utterance.utt_id] = str(error)
        else:
            written[utterance.utt_id] = target
    if written:
        write_table(out_dir / "wav.scp", written)
    return failed


def _synthesize(vocoder: Vocoder, utterance: Utterance, chunk_frames: int | None) -> Tensor:
    if utterance.layout is None:
        wav, sample_rate = load_audio(utterance.source)
        if chunk_frames:
            return _joined(vocoder.stream_copy(chunk_frames), resample(downmix(wav), sample_rate, vocoder.sample_rate))
        return vocoder.resynthesize(downmix(wav), sample_rate)
    mel = read_features(utterance.source, vocoder.mel_config, utterance.layout)
    try:
        if chunk_frames:
            return _joined(vocoder.stream(chunk_frames), mel)
        return vocoder.synthesize(mel, utterance.source)
    except UsageError as error:
        raise UsageError(f"{utterance.source}: {error}") from None


def _joined(stream: Stream | CopyStream, whole: Tensor | np.ndarray) -> Tensor:
    return torch.cat([*stream.feed(whole), stream.flush()], dim=-1)
