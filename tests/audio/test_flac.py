"""FLAC headers against files: what a header leaves open is read to the end, what it states less is refused."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from evagan_plugin.audio.flac import FlacLength, flac_length
from evagan_plugin.audio.io import load_audio, read_header
from evagan_plugin.errors import EvaganError

SAMPLES = 30000


@pytest.fixture
def altered(tmp_path: Path):
    """Return a function that writes a file of noise whose header states another number of samples."""

    def write(stated: int, channels: int = 1, samples: int = SAMPLES, end: bytes = b"", subtype: str = "PCM_16"):
        path = tmp_path / "a.flac"
        noise = 0.1 * np.random.default_rng(0).standard_normal((samples, channels))
        soundfile.write(path, noise, 44100, subtype=subtype)
        content = bytearray(path.read_bytes())
        content[18:26] = (int.from_bytes(content[18:26]) >> 36 << 36 | stated).to_bytes(8)
        path.write_bytes(content + end)
        return path

    return write


@pytest.mark.parametrize("samples", [17, 4096, 4097, 200_000])
@pytest.mark.parametrize(("channels", "subtype"), [(1, "PCM_16"), (2, "PCM_24"), (3, "PCM_16")])
def test_the_last_frame_says_how_long_a_file_is(altered, samples, channels, subtype):
    path = altered(samples, channels, samples, subtype=subtype)
    assert flac_length(path) == FlacLength(samples, samples)
    path = altered(samples, channels, samples, end=b"TAG" + bytes(125), subtype=subtype)
    assert flac_length(path).held == samples


@pytest.mark.parametrize("stated", [1, 10_000, 4096 * 3, SAMPLES - 1])
def test_less_in_the_header_is_refused_with_both_numbers(altered, stated):
    path = altered(stated)
    for read in (load_audio, read_header):
        with pytest.raises(EvaganError, match=f"{path}: its header states {stated} samples, the file holds {SAMPLES}"):
            read(path)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_length_that_the_header_leaves_open_is_read_to_the_end(altered, channels):
    expected, _ = load_audio(altered(SAMPLES, channels))
    path = altered(0, channels)
    assert np.array_equal(load_audio(path)[0], expected) and expected.shape == (channels, SAMPLES)
    assert read_header(path).frames == SAMPLES


def test_more_in_the_header_and_damage_are_told(altered):
    with pytest.raises(EvaganError):
        load_audio(altered(SAMPLES + 10_000))
    path = altered(0)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(EvaganError, match=r"not readable as audio|no samples"):
        load_audio(path)


def test_a_wav_is_none(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    assert flac_length(tmp_path / "a.wav") is None
