"""Features that an acoustic model made, turned into what a vocoder can be fine-tuned on."""

from pathlib import Path

import numpy as np
from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank

from evagan_plugin.audio.features import check_frames, read_features
from evagan_plugin.audio.io import read_header
from evagan_plugin.audio.mel import MelConfig
from evagan_plugin.checkpoint.files import load_config_of
from evagan_plugin.config import read_settings
from evagan_plugin.data.kaldi import read_scp, write_table
from evagan_plugin.errors import ConfigError, UsageError
from evagan_plugin.espnet.tts.vocoder import convert_mels, mel_of
from evagan_plugin.utils.files import atomic_path
from evagan_plugin.utils.progress import track


def convert_features(
    acoustic_config: str | Path, vocoder: str | Path, feats_scp: str | Path, wav_scp: str | Path, out_dir: str | Path
) -> int:
    """Write features as the vocoder's log-mels, each cut or filled up to its recording's number of frames.

    Args:
        acoustic_config: ``config.yaml`` of the acoustic model, which says what its features are.
        vocoder: Checkpoint of the vocoder, with its config beside it.
        feats_scp: De-normalised features (F, n_mels), one file per utterance, as ``tts_inference`` writes them.
        wav_scp: The recordings; utterances without features are left out.
        out_dir: Where ``feats.scp``, ``wav.scp`` and the features go.

    Returns:
        int: Number of utterances.

    Raises:
        ConfigError: If the features do not fit the vocoder.
        EvaganError: If a file cannot be read, or features and recording do not belong together.
    """
    source = _acoustic_mel(acoustic_config)
    target = load_config_of(vocoder).mel
    conversion = convert_mels(source, target, vocoder)
    feats, recordings = read_scp(feats_scp), read_scp(wav_scp)
    out_dir = Path(out_dir)
    written, kept = {}, {}
    for utterance in track(sorted(feats.keys() & recordings.keys()), "features"):
        mel = read_features(feats[utterance], target, "frames_first")
        samples = _samples(recordings[utterance], target.sample_rate)
        check_frames(mel.shape[1], samples, target.hop_length, f"utterance '{utterance}'")
        aligned = align(conversion(mel).numpy().T, -(-samples // target.hop_length))
        path = out_dir / "data" / f"{utterance}.npy"
        with atomic_path(path) as temporary:
            np.save(temporary, aligned)
        written[utterance], kept[utterance] = path, recordings[utterance]
    if not written:
        raise UsageError(f"{feats_scp} and {wav_scp} have no utterance in common")
    write_table(out_dir / "wav.scp", kept)
    write_table(out_dir / "feats.scp", written)
    return len(written)


def align(mel: np.ndarray, frames: int) -> np.ndarray:
    """Cut features (F, n_mels) to a number of frames, or repeat the last one up to it."""
    return np.pad(mel[:frames], ((0, max(frames - len(mel), 0)), (0, 0)), mode="edge")


def check_features(acoustic_config: str | Path, vocoder: str | Path) -> None:
    """Check that an acoustic model's features can be turned into a vocoder's mels.

    Args:
        acoustic_config: Config of the acoustic model, of its training or its experiment.
        vocoder: Checkpoint with its config beside it, or the training config of a vocoder to be (``.yaml``).

    Raises:
        ConfigError: If they cannot: every field that differs, with both values.
    """
    config = vocoder if Path(vocoder).suffix in (".yaml", ".yml") else None
    convert_mels(_acoustic_mel(acoustic_config), load_config_of(vocoder, config).mel, vocoder)


def _acoustic_mel(config: str | Path) -> MelConfig:
    settings = read_settings(config)
    kind = settings.get("feats_extract", "fbank")  # ESPnet's default
    if kind != "fbank":
        raise ConfigError(f"{config}: feats_extract is {kind}, not fbank: no log-mels")
    try:
        extractor = LogMelFbank(**settings.get("feats_extract_conf") or {})
    except TypeError as error:
        raise ConfigError(f"{config}: feats_extract_conf: {error}") from None
    return mel_of(extractor)


def _samples(path: str, sample_rate: int) -> int:
    header = read_header(path)
    if header.sample_rate != sample_rate:
        raise UsageError(f"{path} has {header.sample_rate} Hz, the vocoder {sample_rate} Hz")
    return header.frames
