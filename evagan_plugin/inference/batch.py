"""Synthesis of many utterances."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from evagan_plugin.audio.features import read_features
from evagan_plugin.audio.io import downmix, load_audio, save_audio
from evagan_plugin.data.kaldi import write_table
from evagan_plugin.data.utterances import Utterance
from evagan_plugin.errors import EvaganError, UsageError, library_errors
from evagan_plugin.inference.vocoder import Vocoder
from evagan_plugin.utils.progress import track


def synthesize_all(vocoder: Vocoder, utterances: Sequence[Utterance], out_dir: str | Path) -> dict[str, str]:
    """Synthesise each utterance to ``out_dir/UTT_ID.wav`` (16 bit) and write ``out_dir/wav.scp``.

    Audio is copy-synthesised and comes out exactly as long as it was (at the vocoder's rate); mels come out with
    frames x hop samples. An utterance that fails does not stop the others.

    Returns:
        dict: Reason by utterance id of those that failed.
    """
    out_dir = Path(out_dir)
    written, failed = {}, {}
    for utterance in track(utterances, "synth"):
        target = out_dir / f"{utterance.utt_id}.wav"
        try:
            with library_errors(utterance.source):
                wav = _synthesize(vocoder, utterance)
                save_audio(target, wav.numpy(), vocoder.sample_rate)
        except EvaganError as error:
            failed[utterance.utt_id] = str(error)
        else:
            written[utterance.utt_id] = target
    if written:
        write_table(out_dir / "wav.scp", written)
    return failed


def _synthesize(vocoder: Vocoder, utterance: Utterance) -> Tensor:
    if utterance.layout is None:
        wav, sample_rate = load_audio(utterance.source)
        return vocoder.resynthesize(downmix(wav), sample_rate)
    mel = read_features(utterance.source, vocoder.mel_config, utterance.layout)
    try:
        return vocoder.synthesize(mel, utterance.source)
    except UsageError as error:
        raise UsageError(f"{utterance.source}: {error}") from None
