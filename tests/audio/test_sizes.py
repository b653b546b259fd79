"""Headers against files: audio beyond what a header states is never passed over without a word."""

import struct

import numpy as np
import pytest
import soundfile

from evagan_plugin.audio.io import load_audio, read_header
from evagan_plugin.data.segments import unusable_recordings
from evagan_plugin.errors import EvaganError

RATE = 16000
TONE = (0.1 * np.sin(np.arange(RATE) / 9)).astype(np.float32)
BYTES = 2 * RATE


@pytest.fixture
def altered(tmp_path):
    """Return a function that writes a file whose header states another size, with something at its end."""

    def write(size, suffix="wav", end=b"", channels=1, before=b""):
        path = tmp_path / f"a.{suffix}"
        soundfile.write(path, np.stack([TONE] * channels, 1), RATE, subtype="PCM_16")
        content = bytearray(path.read_bytes())
        order, place = {"wav": ("<I", content.find(b"data")), "aiff": (">I", content.find(b"SSND")), "au": (">I", 4)}[
            suffix
        ]
        if size is not None:
            content[place + 4 : place + 8] = struct.pack(order, size)
        if before:
            content[place:place] = before
        path.write_bytes(content + end)
        return path

    return write


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au"])
@pytest.mark.parametrize("size", [0, 2, 1000, BYTES - 100])
def test_less_in_the_header_is_refused_with_both_numbers_by_every_reader(altered, suffix, size):
    path = altered(size, suffix)
    for read in (load_audio, read_header):
        with pytest.raises(EvaganError, match=f"{path}: its header states {size} bytes of audio, the file holds 3"):
            read(path)
    (problem,) = unusable_recordings({"u": str(path)}, "check")
    assert f"states {size} bytes" in problem


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFFE])
def test_a_size_that_the_header_leaves_open_is_read_to_the_end(altered, size):
    wav, _ = load_audio(altered(size))
    assert wav.shape == (1, RATE)


@pytest.mark.parametrize(
    "end",
    [
        b"LIST" + struct.pack("<I", 4) + b"INFO",
        b"bext" + struct.pack("<I", 3) + b"abc\0" + b"id3 " + struct.pack("<I", 2) + b"xy",
        b"TAG" + bytes(125),
        b"\0\0\0",
    ],
)
def test_chunks_tags_and_padding_after_the_audio_are_no_audio(altered, end):
    assert load_audio(altered(None, end=end))[0].shape == (1, RATE)


def test_chunks_before_the_audio_and_several_channels(altered):
    before = b"JUNK" + struct.pack("<I", 28) + bytes(28)
    assert load_audio(altered(None, channels=2, before=before))[0].shape == (2, RATE)
    with pytest.raises(EvaganError, match=f"states 64 bytes of audio, the file holds {2 * BYTES}"):
        load_audio(altered(64, channels=2, before=before))


def test_more_in_the_header_is_still_truncated(altered):
    with pytest.raises(EvaganError, match="truncated"):
        load_audio(altered(2 * BYTES))
