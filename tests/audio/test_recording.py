"""Audio that is read by seeking is what whole reading gives."""

import multiprocessing
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evagan_plugin.audio.io import AudioFile, downmix, load_audio
from evagan_plugin.audio.recording import PASSED_OVER, open_recording
from evagan_plugin.errors import EvaganError

RATE = 16000


@pytest.fixture(params=["wav", "flac", "ogg", "mp3", "opus"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Twenty seconds of a gliding tone in two channels, the second of which is softer."""
    time = np.arange(20 * RATE) / RATE
    tone = 0.5 * np.sin(2 * np.pi * (300 + 20 * time) * time)
    path, options = tmp_path / f"a.{request.param}", {"format": "OGG", "subtype": "OPUS"}
    soundfile.write(path, np.stack([tone, 0.5 * tone], axis=1), RATE, **options if path.suffix == ".opus" else {})
    return path


def test_slices_are_those_of_the_whole(path: Path):
    whole = downmix(load_audio(path)[0])
    tolerance = 1e-6 if path.suffix in (".opus", ".mp3") else 0  # a decoder that begins in the middle rounds otherwise
    with open_recording(path) as recording:
        assert abs(len(recording) - len(whole)) < 1153 and recording.sample_rate == RATE
        for first, last in ((0, 500), (123_456, 125_000), (7, 8), (319_000, 400_000), (50, 50)):
            stretch = recording[first:last]
            assert stretch.dtype == np.float32
            expected = whole[first : min(last, len(recording))]
            np.testing.assert_allclose(stretch[: len(expected)], expected, atol=tolerance)
        part = recording.part(1000, 3000)
        assert len(part) == 2000
        np.testing.assert_allclose(part[10:-10], whole[1010:2990], atol=tolerance)


def test_a_file_that_ends_too_early_is_named(path: Path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(EvaganError) as caught, open_recording(path) as recording:
        recording[15 * RATE : 19 * RATE]
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
def test_what_comes_before_a_stretch_is_not_held(tmp_path, monkeypatch, suffix: str):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(60 * RATE), RATE)
    whole = downmix(load_audio(path)[0])
    longest, read = 0, AudioFile.read

    def watched(self: AudioFile, frames: int, **options: object) -> np.ndarray:
        nonlocal longest
        longest = max(longest, frames)
        return read(self, frames, **options)

    monkeypatch.setattr(AudioFile, "read", watched)
    with open_recording(path) as recording:
        for second in (55, 3, 58):
            place = second * RATE + 123
            np.testing.assert_allclose(recording[place : place + 500], whole[place : place + 500], atol=1e-6)
    assert longest <= PASSED_OVER


def stretches(path: Path, places: Iterable[int]) -> list[np.ndarray]:
    """Return a second of a file from each place."""
    found = []
    for place in places:
        with open_recording(path) as recording:
            found.append(recording[place : place + RATE])
    return found


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """Count the samples that are decoded, a number for each read."""
    counts, read = [], AudioFile.read

    def watched(self: AudioFile, frames: int, **options: object) -> np.ndarray:
        wav = read(self, frames, **options)
        counts.append(len(wav))
        return wav

    monkeypatch.setattr(AudioFile, "read", watched)
    return counts


@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
def test_stretches_in_order_decode_a_file_once(tmp_path: Path, suffix: str, decoded: list[int]):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(30 * RATE), RATE)
    whole = downmix(load_audio(path)[0])
    decoded.clear()
    for first in range(0, 29 * RATE, RATE):
        with open_recording(path) as recording:
            np.testing.assert_allclose(recording[first : first + RATE], whole[first : first + RATE], atol=1e-6)
    assert sum(decoded) == 29 * RATE
    with open_recording(path) as outer, open_recording(path) as inner:
        for first in (9 * RATE, 3 * RATE):
            for recording in (outer, inner):
                np.testing.assert_allclose(recording[first : first + 99], whole[first : first + 99], atol=1e-6)


@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
def test_a_file_that_was_changed_is_opened_anew(tmp_path: Path, suffix: str):
    path = tmp_path / f"a{suffix}"
    for frequency in (440, 880):
        soundfile.write(path, 0.5 * np.sin(2 * np.pi * frequency * np.arange(3 * RATE) / RATE), RATE)
        os.utime(path, (frequency, frequency))
        with open_recording(path) as recording:
            spectrum = np.abs(np.fft.rfft(recording[RATE : 2 * RATE]))
        assert spectrum.argmax() == frequency


@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
def test_a_process_that_is_forked_reads_from_a_place_of_its_own(tmp_path: Path, suffix: str):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(30 * RATE), RATE)
    whole = downmix(load_audio(path)[0])

    places = range(2 * RATE, 28 * RATE, RATE)
    stretches(path, [RATE])
    with multiprocessing.get_context("fork").Pool(1) as pool:
        forked = pool.apply_async(stretches, (path, places))
        ours = stretches(path, places)
        for place, one, other in zip(places, ours, forked.get(60), strict=True):
            np.testing.assert_allclose(one, whole[place : place + RATE], atol=1e-6)
            np.testing.assert_array_equal(one, other)


def test_what_is_no_audio_is_named(tmp_path: Path):
    (tmp_path / "a.wav").write_text("text")
    for name in ("a.wav", "b.wav"):
        with pytest.raises(EvaganError, match=name), open_recording(tmp_path / name):
            pass
