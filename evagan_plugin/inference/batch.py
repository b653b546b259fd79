"""Synthesis of many utterances."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
from torch import Tensor

from evagan_plugin.audio.blocks import read_blocks
from evagan_plugin.audio.features import read_features
from evagan_plugin.audio.io import audio_writer
from evagan_plugin.data.kaldi import write_table
from evagan_plugin.data.utterances import Utterance
from evagan_plugin.errors import EvaganError, UsageError, library_errors
from evagan_plugin.inference.vocoder import Vocoder
from evagan_plugin.utils.progress import track

LONG_FRAMES = 512
"""Mel frames of a chunk of a long utterance: enough for its cost to be that of the whole's."""


def synthesize_all(
    vocoder: Vocoder, utterances: Sequence[Utterance], out_dir: str | Path, chunk_frames: int | None = None
) -> dict[str, str]:
    """Synthesise each utterance to ``out_dir/UTT_ID.wav`` (16 bit) and write ``out_dir/wav.scp``.

    Audio is copy-synthesised and comes out exactly as long as it was (at the vocoder's rate); mels come out with
    frames x hop samples. An utterance that fails does not stop the others. Of an hour of audio no more than a minute is
    in memory: it is read, synthesised and written as it goes, and takes its place when it is whole.

    Args:
        vocoder: The vocoder.
        utterances: Audio and mels.
        out_dir: Where to.
        chunk_frames: Mel frames to synthesise at a time, with the same result; when None all of an utterance, but
            :data:`LONG_FRAMES` of a long one, where the vocoder can stream.

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
                pieces = _pieces(vocoder, utterance, chunk_frames)
                begin = next(pieces)  # before there is a file
                with audio_writer(target, vocoder.sample_rate) as writer:
                    for piece in chain([begin], pieces):
                        writer.write(piece.numpy())
        except EvaganError as error:
            failed[utterance.utt_id] = str(error)
        else:
            written[utterance.utt_id] = target
    if written:
        write_table(out_dir / "wav.scp", written)
    return failed


def _pieces(vocoder: Vocoder, utterance: Utterance, chunk_frames: int | None) -> Iterator[Tensor]:
    """Yield the waveform of an utterance: in one piece, or of a long one, and where chunks are asked for, in many."""
    if utterance.layout is None:
        yield from _copies(vocoder, read_blocks(utterance.source, vocoder.sample_rate), chunk_frames)
        return
    mel = read_features(utterance.source, vocoder.mel_config, utterance.layout)
    if mel.shape[-1] > 2 * LONG_FRAMES and vocoder.can_stream:
        chunk_frames = chunk_frames or LONG_FRAMES
    try:
        if not chunk_frames:
            yield vocoder.synthesize(mel, utterance.source)
            return
        stream = vocoder.stream(chunk_frames)
        yield from stream.feed(mel)
        yield stream.flush()
    except UsageError as error:
        raise UsageError(f"{utterance.source}: {error}") from None


def _copies(vocoder: Vocoder, blocks: Iterator[np.ndarray], chunk_frames: int | None) -> Iterator[Tensor]:
    begin = list(islice(blocks, 2))
    if len(begin) > 1 and vocoder.can_stream:
        chunk_frames = chunk_frames or LONG_FRAMES
    if not chunk_frames:
        yield vocoder.resynthesize(np.concatenate([*begin, *blocks]), vocoder.sample_rate)
        return
    stream = vocoder.stream_copy(chunk_frames)
    for block in chain(begin, blocks):
        yield from stream.feed(block)
    yield stream.flush()
