"""Recordings block by block are what they are as a whole."""

import numpy as np
import pytest
import soundfile

from evagan_plugin.audio.blocks import read_blocks
from evagan_plugin.audio.io import downmix, load_audio, resample
from evagan_plugin.errors import EvaganError


@pytest.fixture
def noise():
    """Two channels (T, 2), quiet enough for every format."""
    return 0.1 * np.random.default_rng(0).standard_normal((30011, 2))


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("rate", [16000, 22050, 24000, 8000])
def test_joined_they_are_the_whole(tmp_path, noise, suffix, rate):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, noise, 16000)
    wav, sample_rate = load_audio(path)
    whole = resample(downmix(wav), sample_rate, rate)
    for seconds in (0.05, 0.3, 60.0):
        blocks = list(read_blocks(path, rate, seconds))
        assert np.concatenate(blocks) == pytest.approx(whole, abs=1e-6)
        assert (len(blocks) > 1) == (seconds < 60)


def test_a_length_of_whole_blocks_ends_with_the_last(tmp_path, noise):
    soundfile.write(tmp_path / "a.wav", noise[:16000], 16000)
    assert [len(block) for block in read_blocks(tmp_path / "a.wav", 16000, 0.5)] == [8000, 8000]


def test_what_is_wrong_is_said_when_it_is_reached(tmp_path, noise):
    path = tmp_path / "a.flac"
    soundfile.write(path, noise, 16000)
    path.write_bytes(path.read_bytes()[:-40000])
    blocks = read_blocks(path, 16000, 0.1)
    with pytest.raises(EvaganError, match=r"a\.flac"):
        sum(map(len, blocks))
    noise[20000, 1] = np.nan
    soundfile.write(tmp_path / "b.wav", noise, 16000, subtype="FLOAT")
    with pytest.raises(EvaganError, match="samples are NaN or infinite"):
        list(read_blocks(tmp_path / "b.wav", 16000, 0.1))
    soundfile.write(tmp_path / "c.wav", noise[:0], 16000)
    with pytest.raises(EvaganError, match="no samples in it"):
        list(read_blocks(tmp_path / "c.wav", 16000))
