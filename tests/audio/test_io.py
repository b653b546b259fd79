"""Reading and writing of audio files: every kind of damage is told in one line, nothing is changed unasked."""

import math
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from evagan_plugin.audio import io as audio
from evagan_plugin.errors import EvaganError, UsageError

RATE = 16000


def tone(seconds: float = 1.0, frequency: float = 440.0, sample_rate: int = RATE) -> np.ndarray:
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return (0.5 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def write(path: Path, wav: np.ndarray, sample_rate: int = RATE, **options: str) -> Path:
    soundfile.write(path, wav, sample_rate, **options)
    return path


def test_reads_channels_first_at_full_scale_one(tmp_path):
    left, right = tone(), -tone(frequency=300)
    path = write(tmp_path / "a.wav", np.stack([left, right], axis=1), subtype="PCM_24")
    wav, rate = audio.load_audio(path)
    assert (wav.shape, wav.dtype, rate) == ((2, RATE), np.float32, RATE)
    np.testing.assert_allclose(wav, [left, right], atol=2**-22)
    np.testing.assert_allclose(audio.downmix(wav), (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus", ".mp3", ".sph", ".aiff", ".au"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_truncated_file_is_refused(tmp_path, suffix, part):
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    options = {".sph": {"format": "NIST"}, ".opus": {"format": "OGG", "subtype": "OPUS"}}.get(suffix, {})
    whole = write(tmp_path / f"whole{suffix}", noise, **options)
    assert audio.load_audio(whole)[0].shape[1] == pytest.approx(2 * RATE, abs=2304)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: int(part * whole.stat().st_size)])
    with pytest.raises(EvaganError, match=r"cut\.\w+: (truncated|not readable)"):
        audio.load_audio(cut)


def test_wav_written_to_a_pipe_is_read(tmp_path):
    """Its header states the size 0xFFFFFFFF, because the writer could not know it."""
    path = write(tmp_path / "a.wav", tone())
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert audio.load_audio(path)[0].shape == (1, RATE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"", "empty file"), (b"this is no audio at all", "not readable as audio")],
)
def test_missing_empty_and_foreign_files_are_refused(tmp_path, content, reason):
    path = tmp_path / "a b.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EvaganError, match=rf"a b\.wav: .*{reason}") as caught:
        audio.load_audio(path)
    assert "\n" not in str(caught.value)


def test_directory_in_place_of_a_file_is_refused(tmp_path):
    with pytest.raises(EvaganError, match="directory"):
        audio.load_audio(tmp_path)


def test_no_samples_and_bad_samples_are_refused(tmp_path):
    with pytest.raises(EvaganError, match="no samples"):
        audio.load_audio(write(tmp_path / "none.wav", tone(0)))
    wav = tone()
    wav[3:5] = [math.nan, math.inf]
    with pytest.raises(EvaganError, match=r"2 of 16000 samples are NaN or infinite"):
        audio.load_audio(write(tmp_path / "nan.wav", wav, subtype="FLOAT"))


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24)])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_integers_are_written_back_bit_for_bit(tmp_path, subtype, bits, suffix):
    scale = 2 ** (bits - 1)
    steps = np.random.default_rng(0).integers(-scale, scale, 5000)
    steps[:2] = [-scale, scale - 1]
    clipped = audio.save_audio(tmp_path / f"a{suffix}", steps / scale, RATE, subtype)
    wav, rate = audio.load_audio(tmp_path / f"a{suffix}")
    assert (clipped, rate) == (0, RATE)
    np.testing.assert_array_equal(wav[0] * scale, steps)


def test_clipping_is_counted(tmp_path):
    wav = np.array([0.0, 1.0, -1.0, 1.5, -2.0], dtype=np.float32)
    assert audio.save_audio(tmp_path / "a.wav", wav, RATE) == 2
    np.testing.assert_allclose(audio.load_audio(tmp_path / "a.wav")[0][0], [0, 1, -1, 1, -1], atol=2**-15)
    assert audio.save_audio(tmp_path / "b.wav", wav, RATE, "FLOAT") == 0
    np.testing.assert_array_equal(audio.load_audio(tmp_path / "b.wav")[0][0], wav)


def test_bad_samples_are_not_written_and_the_old_file_stays(tmp_path):
    path = tmp_path / "a.wav"
    audio.save_audio(path, tone(), RATE)
    with pytest.raises(EvaganError, match=r"a\.wav: not written: samples are NaN"):
        audio.save_audio(path, np.array([math.nan]), RATE)
    assert audio.load_audio(path)[0].shape == (1, RATE)


def test_full_disk_leaves_nothing_behind(tmp_path):
    """A limit on file size fails as a full disk does: in the middle of writing."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(EvaganError, match=r"cannot write .*a\.wav: the disk is full"):
            audio.save_audio(tmp_path / "a.wav", tone(), RATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_unknown_output_format_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\.wav or \.flac"):
        audio.save_audio(tmp_path / "a.mp3", tone(), RATE)


@pytest.mark.parametrize(("old", "new"), [(44100, 16000), (16000, 22050), (48000, 44100)])
def test_resampling_keeps_a_tone_and_rounds_the_length_up(old, new):
    wav = audio.resample(tone(0.5, 1000, old), old, new)
    assert wav.shape == (math.ceil(old // 2 * new / old),)
    inner = slice(new // 20, -new // 20)
    np.testing.assert_allclose(wav[inner], tone(0.5, 1000, new)[inner], atol=2e-4)


def test_resampling_removes_what_the_lower_rate_cannot_carry():
    wav = audio.resample(tone(0.5, 9000, 44100), 44100, 16000)
    assert np.abs(wav[1000:-1000]).max() < 1e-3


def test_resampling_takes_torch_and_returns_it():
    wav = torch.zeros(2, 1, 441)
    assert audio.resample(wav, 44100, 22050).shape == (2, 1, 221)
    assert audio.resample(wav, 44100, 44100) is wav


def test_load_mono_downmixes_and_resamples(tmp_path):
    stereo = np.stack([tone(1, 500, 48000), tone(1, 500, 48000)], axis=1)
    wav = audio.load_mono(write(tmp_path / "a.flac", stereo, 48000), RATE)
    np.testing.assert_allclose(wav[800:-800], tone(1, 500)[800:-800], atol=2e-4)


def test_bandwidth_sees_through_the_sample_rate():
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert audio.effective_bandwidth(noise, RATE) == pytest.approx(8000, abs=50)
    raised = audio.resample(noise, RATE, 48000)
    assert audio.effective_bandwidth(raised, 48000) == pytest.approx(8000, abs=400)
    assert audio.effective_bandwidth(np.zeros(100, np.float32), RATE) == 0.0
