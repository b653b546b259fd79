"""Synthesis of many utterances."""

from collections.abc import Callable, Iterator, Sequence
from itertools import batched, chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from evagan_plugin.audio.blocks import read_blocks
from evagan_plugin.audio.features import read_features
from evagan_plugin.audio.io import audio_writer
from evagan_plugin.data.kaldi import write_table
from evagan_plugin.data.utterances import Utterance
from evagan_plugin.errors import EvaganError, UsageError, library_errors
from evagan_plugin.inference.padding import batches
from evagan_plugin.inference.vocoder import Vocoder
from evagan_plugin.utils.progress import track

LONG_FRAMES = 512
"""Mel frames of a chunk of a long utterance: enough for its cost to be that of the whole's."""
SORTED_BATCHES = 16
"""Batches whose utterances are read before the first is synthesised, and sorted by length."""


class _Sound(NamedTuple):
    """What is made of one utterance: pieces of its waveform; an error comes when they are asked for."""

    utterance: Utterance
    pieces: Iterator[Tensor]


class _Short(NamedTuple):
    """An utterance that goes into a batch."""

    utterance: Utterance
    mel: Tensor
    """(n_mels, F)"""
    samples: int
    """Of its waveform."""


def synthesize_all(
    vocoder: Vocoder,
    utterances: Sequence[Utterance],
    out_dir: str | Path,
    chunk_frames: int | None = None,
    batch_size: int = 1,
    done: Callable[[Utterance], None] | None = None,
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
        batch_size: Utterances to synthesise at once, with the same result: of about the same length, or of exactly the
            same where the vocoder cannot pad; long ones go alone.
        done: Called with each utterance that is written, in the place of ``wav.scp``.

    Returns:
        dict: Reason by utterance id of those that failed.

    Raises:
        UsageError: If there are chunks, and the vocoder cannot stream; if there are chunks and batches.
    """
    if chunk_frames:
        vocoder.stream(chunk_frames)  # what cannot stream says so before the first utterance
    if chunk_frames and batch_size > 1:
        raise UsageError("chunks are of one utterance at a time: leave batch_size or chunk_frames out")
    out_dir = Path(out_dir)
    if batch_size > 1:
        sounds = _batched(vocoder, utterances, batch_size)
    else:
        sounds = (_Sound(one, _pieces(vocoder, one, chunk_frames)) for one in utterances)
    failed = {}
    for utterance, pieces in track(sounds, "synth", len(utterances)):
        try:
            with library_errors(utterance.source):
                begin = next(pieces)  # before there is a file
                with audio_writer(_target(out_dir, utterance), vocoder.sample_rate) as writer:
                    for piece in chain([begin], pieces):
                        writer.write(piece.numpy())
        except EvaganError as error:
            failed[utterance.utt_id] = str(error)
        else:
            if done:
                done(utterance)
    written = {one.utt_id: _target(out_dir, one) for one in utterances if one.utt_id not in failed}
    if written and not done:
        write_table(out_dir / "wav.scp", written)
    return {one.utt_id: failed[one.utt_id] for one in utterances if one.utt_id in failed}


def _target(out_dir: Path, utterance: Utterance) -> Path:
    return out_dir / f"{utterance.utt_id}.wav"


def _batched(vocoder: Vocoder, utterances: Sequence[Utterance], batch_size: int) -> Iterator[_Sound]:
    """Yield the sounds of utterances, several of which are synthesised at once; long ones, and faults, at once."""
    for together in batched(utterances, SORTED_BATCHES * batch_size):
        short: list[_Short] = []
        for utterance in together:
            try:
                with library_errors(utterance.source):
                    read = _read(vocoder, utterance)
            except EvaganError as error:
                yield _Sound(utterance, _fault(error))
                continue
            if isinstance(read, _Short):
                short.append(read)
            else:
                yield _Sound(utterance, read)
        for batch in batches([one.mel.shape[-1] for one in short], batch_size, vocoder.can_pad):
            yield from _at_once(vocoder, [short[index] for index in batch])


def _at_once(vocoder: Vocoder, batch: Sequence[_Short]) -> Iterator[_Sound]:
    """Yield the sounds of a batch; one by one where there is no memory for all, or something else is wrong with one."""
    try:
        with library_errors("a batch"):
            wavs = vocoder.synthesize_padded([one.mel for one in batch])
    except EvaganError:
        yield from (_Sound(one.utterance, _alone(vocoder, one)) for one in batch)
    else:
        for one, wav in zip(batch, wavs, strict=True):
            yield _Sound(one.utterance, iter([wav[: one.samples]]))


def _alone(vocoder: Vocoder, short: _Short) -> Iterator[Tensor]:
    yield vocoder.synthesize_padded([short.mel])[0][: short.samples]


def _fault(error: EvaganError) -> Iterator[Tensor]:
    """Raise an error in the place of the first piece."""
    yield from ()
    raise error


def _read(vocoder: Vocoder, utterance: Utterance) -> _Short | Iterator[Tensor]:
    """Read an utterance; of a long one return the pieces of its waveform."""
    if utterance.layout is None:
        blocks = read_blocks(utterance.source, vocoder.sample_rate)
        begin = list(islice(blocks, 2))
        if len(begin) > 1:
            return _copies(vocoder, chain(begin, blocks), None)
        return _Short(utterance, *vocoder.analyse(np.concatenate(begin), vocoder.sample_rate))
    mel = read_features(utterance.source, vocoder.mel_config, utterance.layout)
    if _is_long(mel):
        return _synthesized(vocoder, mel, utterance.source, None)
    vocoder.watch.look(mel, utterance.source)
    return _Short(utterance, mel, mel.shape[-1] * vocoder.mel_config.hop_length)


def _pieces(vocoder: Vocoder, utterance: Utterance, chunk_frames: int | None) -> Iterator[Tensor]:
    """Yield the waveform of an utterance: in one piece, or of a long one, and where chunks are asked for, in many."""
    if utterance.layout is None:
        yield from _copies(vocoder, read_blocks(utterance.source, vocoder.sample_rate), chunk_frames)
        return
    mel = read_features(utterance.source, vocoder.mel_config, utterance.layout)
    yield from _synthesized(vocoder, mel, utterance.source, chunk_frames)


def _is_long(mel: Tensor) -> bool:
    return mel.shape[-1] > 2 * LONG_FRAMES


def _synthesized(vocoder: Vocoder, mel: Tensor, source: str, chunk_frames: int | None) -> Iterator[Tensor]:
    if _is_long(mel) and vocoder.can_stream:
        chunk_frames = chunk_frames or LONG_FRAMES
    try:
        if not chunk_frames:
            yield vocoder.synthesize(mel, source)
            return
        stream = vocoder.stream(chunk_frames)
        yield from stream.feed(mel)
        yield stream.flush()
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None


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
