"""Measures of audio, each on a signal whose value is known."""

import tarfile
from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import pytest

from evagan_plugin.audio import fingerprint, speech
from evagan_plugin.audio.io import load_mono
from evagan_plugin.audio.loudness import loudness_of
from evagan_plugin.audio.measures import QUIETEST_DB, measure

RATE = 44100


def tone(frequency: float = 997.0, level: float = 0.5, seconds: float = 2.0) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def noise(level: float = 0.1, seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def test_a_clean_tone_has_only_a_peak():
    found = measure(tone()[None], RATE)
    assert found.peak == pytest.approx(0.5, abs=1e-3)
    assert (found.clipping, found.silence, found.channel_correlation) == (0, 0, 1)
    assert found.dc_offset < 1e-4
    assert found.noise_floor == pytest.approx(-9.03, abs=0.1)  # 0.5 / sqrt(2)


@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_clipping_is_the_share_of_flat_samples(gain):
    wav = np.clip(tone(level=1.0), -0.8, 0.8)
    flat = np.mean(np.abs(wav) >= 0.8)
    assert measure(gain * wav[None], RATE).clipping == pytest.approx(flat, rel=0.02)


@pytest.mark.parametrize("frequency", [20, 50, 440])
def test_the_round_tops_of_a_low_tone_are_not_clipped(frequency):
    wav = np.round(tone(frequency, 0.99) * 2**15).astype(np.float32) / 2**15
    assert measure(wav[None], RATE).clipping == 0


def test_silence_and_noise_floor_are_those_of_the_pauses():
    wav = noise(0.001, 4.0)
    wav[: 2 * RATE] += tone()
    found = measure(wav[None], RATE)
    assert found.silence == pytest.approx(0.5, abs=0.02)
    assert found.noise_floor == pytest.approx(-60, abs=0.5)
    assert measure(np.zeros((1, RATE), np.float32), RATE).noise_floor == QUIETEST_DB
    assert measure(np.zeros((1, RATE), np.float32), RATE).silence == 1


def test_dc_offset_is_the_mean_of_the_worst_channel():
    found = measure(np.stack([noise(), noise(seed=1) + np.float32(0.05)]), RATE)
    assert found.dc_offset == pytest.approx(0.05, abs=2e-3)


def test_channels_that_differ():
    left, right = noise(), noise(seed=1)
    for channels, expected in (
        ([left, left], 1),
        ([left, -left], -1),
        ([left, right], 0),
        ([left, 0 * left], 0),
        ([left, (left + right) / 2], 0.5**0.5),
    ):
        assert measure(np.stack(channels), RATE).channel_correlation == pytest.approx(expected, abs=0.02)


def test_loudness_is_bs_1770s():
    # ITU-R BS.1770-4: a full-scale tone of 997 Hz in one channel has -3.01 LUFS; 20 dB less, 20 LU less.
    assert loudness_of(tone(level=1.0, seconds=4), RATE) == pytest.approx(-3.01, abs=0.05)
    assert loudness_of(tone(level=0.1, seconds=4), RATE) == pytest.approx(-23.01, abs=0.05)
    both = np.stack([tone(level=1.0, seconds=4)] * 2, axis=1)
    assert loudness_of(both, RATE) == pytest.approx(0.0, abs=0.05)
    assert loudness_of(np.zeros(RATE), RATE) == -np.inf


@pytest.fixture
def recording(tmp_path):
    """A person spelling, 16 kHz: of the eight utterances of AN4 that come with ESPnet's package."""
    try:
        archive = distribution("espnet").locate_file("egs3/mini_an4/esp2_asr/downloads.tar.gz")
    except PackageNotFoundError:
        pytest.skip("ESPnet is not installed")
    with tarfile.open(archive) as content:
        member = next(name for name in sorted(content.getnames()) if name.endswith(".sph"))
        (tmp_path / "a.sph").write_bytes(content.extractfile(member).read())
    return load_mono(tmp_path / "a.sph", 16000)


def test_speech_is_speech_and_a_tone_is_none(recording):
    pytest.importorskip("silero_vad")
    assert speech.speech_share(tone(), RATE) == 0
    whole = speech.speech_share(recording, 16000)
    assert whole > 0.5
    half = speech.speech_share(np.concatenate([recording, np.zeros_like(recording)]), 16000)
    assert half == pytest.approx(whole / 2, abs=0.1)


class TestFingerprints:
    @pytest.fixture(autouse=True)
    def needs_fpcalc(self):
        if not fingerprint.has_fpcalc():
            pytest.skip(fingerprint.MISSING)

    @staticmethod
    def melody(seed: int, seconds: float = 8.0) -> np.ndarray:
        draw = np.random.default_rng(seed)
        notes = [tone(220 * 2 ** (draw.integers(0, 24) / 12), 0.4, 0.25) for _ in range(round(seconds * 4))]
        return np.concatenate(notes)

    def test_a_copy_is_found_and_another_recording_is_not(self):
        original = self.melody(0)
        copies = {
            "original": original,
            "quieter": 0.3 * original + noise(0.003, len(original) / RATE),
            "begins_later": original[RATE // 3 :],
            "another": self.melody(1),
        }
        prints = {name: fingerprint.fingerprint(wav, RATE) for name, wav in copies.items()}
        pairs = set(fingerprint.same_sound(prints, 0.2))
        assert {("original", "quieter"), ("begins_later", "original")} <= pairs
        assert not any("another" in pair for pair in pairs)

    def test_what_is_too_short_has_no_fingerprint(self):
        assert fingerprint.fingerprint(tone(seconds=0.5), RATE).size == 0
