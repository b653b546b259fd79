"""Coqui's ``AudioProcessor`` and our mel give the same numbers on real speech."""

import numpy as np
import pytest
import soundfile
import torch
from TTS.config.shared_configs import BaseAudioConfig
from TTS.utils.audio import AudioProcessor

from evagan_plugin.audio.mel import MelConversion, MelSpectrogram
from evagan_plugin.checkpoint.formats.coqui_audio import mel_settings
from evagan_plugin.coqui.config import EvaGanConfig
from evagan_plugin.coqui.mel import audio_config, mel_config, normalization
from evagan_plugin.errors import ConfigError

BASE = {"sample_rate": 16000, "mel_fmin": 80.0, "mel_fmax": 7600.0, "do_trim_silence": False}
NATURAL = {"log_func": "np.log", "spec_gain": 1, "signal_norm": False}
AUDIOS = {
    "recipes": NATURAL,
    "coqui's defaults: dB, range -4 to 4": {},
    "range 0 to 1": {"symmetric_norm": False, "max_norm": 1.0, "ref_level_db": 0, "min_level_db": -120},
    "range without clipping": {"clip_norm": False},
    "log10": {"log_func": "np.log10", "spec_gain": 1, "signal_norm": False},
    "range in natural logarithms": {"log_func": "np.log", "spec_gain": 1, "min_level_db": -5, "ref_level_db": 1},
    "preemphasis": NATURAL | {"preemphasis": 0.97},
    "short window": NATURAL | {"win_length": 800, "hop_length": 200},
    "milliseconds": NATURAL | {"hop_length": None, "win_length": None, "frame_shift_ms": 10, "frame_length_ms": 50},
    "milliseconds that are no whole samples": NATURAL
    | {"sample_rate": 16050, "hop_length": None, "win_length": None, "frame_shift_ms": 9, "frame_length_ms": 45},
    "whole band": NATURAL | {"mel_fmin": 0.0, "mel_fmax": None},
}


@pytest.fixture(scope="module")
def wav(speech) -> np.ndarray:
    """Speech as loud as it can be, so that it is clipped by an audio config that clips."""
    recording = soundfile.read(sorted(speech.iterdir())[0], dtype="float32")[0]
    return recording / np.abs(recording).max()


def difference(audio: BaseAudioConfig, wav: np.ndarray) -> float:
    """Return how far features, unnormalised by our conversion, are from our mel, in natural logarithms."""
    processor = AudioProcessor(audio)
    mel = mel_config(audio)
    ours = MelSpectrogram(mel)(torch.from_numpy(wav).view(1, 1, -1))[0]
    theirs = torch.from_numpy(processor.melspectrogram(wav))
    mean, scale = normalization(processor) or (None, None)
    return float((MelConversion(mel, mel, mean, scale)(theirs) - ours).abs().max()) / mel.log_scale


@pytest.mark.parametrize("fields", AUDIOS.values(), ids=AUDIOS)
def test_features_are_our_mel(fields, wav):
    assert difference(BaseAudioConfig(**BASE | fields), wav) < 2e-3


def test_features_normalised_by_a_statistics_file_are_our_mel(wav, tmp_path):
    plain = AudioProcessor(BaseAudioConfig(**BASE | NATURAL)).melspectrogram(wav)
    stats = {"mel_mean": plain.mean(axis=1), "mel_std": plain.std(axis=1), "audio_config": {}}
    stats |= {"linear_mean": np.zeros(513), "linear_std": np.ones(513)}
    np.save(tmp_path / "stats.npy", stats, allow_pickle=True)
    fields = NATURAL | {"signal_norm": True, "stats_path": str(tmp_path / "stats.npy")}
    assert difference(BaseAudioConfig(**BASE | fields), wav) < 2e-3


def test_what_a_normalisation_clips_is_clipped_here_too(wav):
    """With ``ref_level_db`` 0 loud speech is clipped from above, with ``min_level_db`` -40 quiet speech from below."""
    fields = {"ref_level_db": 0, "min_level_db": -40}
    mel = mel_config(BaseAudioConfig(**BASE | fields))
    assert (mel.floor, mel.ceiling) == (pytest.approx(1e-2), 1.0)
    clipped = MelSpectrogram(mel)(torch.from_numpy(wav).view(1, 1, -1))
    assert clipped.max() == 0 and clipped.min() == pytest.approx(-40)
    assert difference(BaseAudioConfig(**BASE | fields), wav) < 1e-4


def test_the_default_is_the_mel_of_coquis_recipes():
    mel = mel_config(EvaGanConfig().audio)
    assert (mel.sample_rate, mel.n_mels, mel.hop_length, mel.f_min, mel.f_max) == (22050, 80, 256, 0.0, 8000.0)
    assert (mel.log, mel.gain, mel.floor, mel.preemphasis) == ("ln", 1.0, 1e-8, 0.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"do_amp_to_db_mel": False}, "do_amp_to_db_mel"),
        ({"stft_pad_mode": "constant"}, "stft_pad_mode"),
        ({"mel_fmax": 9000.0}, "audio: .*bands must lie within 0 to 8000 Hz"),
        ({"log_func": "np.log2"}, "audio.log_func is 'np.log2'"),
        ({"hop_length": None}, "audio has no 'frame_length_ms'"),
        ({"hop_length": None, "frame_shift_ms": 10, "frame_length_ms": 45}, "frame_length_ms 45 is no multiple"),
        ({"win_length": 2048}, "audio: .*win_length 2048 is longer than n_fft 1024"),
    ],
)
def test_what_no_mel_of_ours_stands_for_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        mel_config(BaseAudioConfig(**BASE | fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"spec_gain": 0}, "audio.spec_gain is 0"),
        ({"min_level_db": None}, "audio has no 'min_level_db'"),
        ({"ref_level_db": "20"}, "audio.ref_level_db is '20': a number is expected"),
        ({"hop_length": None, "frame_shift_ms": 0, "frame_length_ms": 50}, "frame_length_ms 50 is no multiple"),
    ],
)
def test_what_a_published_config_may_not_say_is_refused(fields, message):
    """A config.json that lies beside a checkpoint has not been through Coqui's own checks."""
    with pytest.raises(ConfigError, match=message):
        mel_settings(fields)


def test_there_and_back():
    mel = mel_config(BaseAudioConfig(**BASE | NATURAL))
    assert mel_config(audio_config(mel)) == mel
