"""True bandwidth, on audio that ends at known frequencies, and on audio that only fades."""

import numpy as np
import pytest

from evagan_plugin.audio.bandwidth import measure_band, rounding_level
from evagan_plugin.benchmark import degraded
from evagan_plugin.benchmark.degraded import music_like

TOLERANCE = 1000
"""Hz."""


def of_16_bits(wav: np.ndarray) -> np.ndarray:
    return (np.round(wav * 2**15).clip(-(2**15), 2**15 - 1) / 2**15).astype(np.float32)[None]


@pytest.fixture(scope="module", params=[44100, 48000])
def source(request):
    return music_like(4.0, request.param, seed=request.param), request.param


@pytest.mark.parametrize(
    "make", [degraded.low_passed, degraded.upsampled, degraded.opus], ids=lambda make: make.__name__
)
def test_ends_at_known_frequencies(source, make):
    made = [one for one in make(*source) if one.cutoff < 20500]
    assert len(made) >= 3
    for one in made:
        band = measure_band(of_16_bits(one.wav), one.sample_rate, 16)
        assert abs(band.bandwidth - one.cutoff) <= TOLERANCE, one.setting
        assert band.cut_by in ("edge", "images"), one.setting


def test_mp3_ends_where_lame_says(source):
    made = list(degraded.mp3(*source))
    assert {one.cutoff for one in made if one.cutoff < 18000}
    for one in made:
        assert abs(measure_band(of_16_bits(one.wav), one.sample_rate, 16).bandwidth - one.cutoff) <= TOLERANCE


def test_what_fills_the_band_is_not_cut(source):
    wav, sample_rate = source
    band = measure_band(of_16_bits(wav), sample_rate, 16)
    assert band.cut_by is None
    assert band.bandwidth > 0.95 * sample_rate / 2


def test_a_natural_fall_into_the_noise_is_no_cut():
    rate = 44100
    draw = np.random.default_rng(0)
    frequencies = np.fft.rfftfreq(4 * rate, 1 / rate)
    fall = 10 ** (-5 * np.maximum(frequencies - 1000, 0) / 1000 / 20)  # 5 dB per kHz
    wav = np.fft.irfft(np.fft.rfft(draw.standard_normal(4 * rate)) * fall)
    wav = 0.1 * wav / wav.std() + 10 ** (-75 / 20) * draw.standard_normal(len(wav))
    band = measure_band(of_16_bits(wav), rate, 16)
    assert band.cut_by is None


def test_a_voice_that_falls_at_4_khz_and_goes_on_is_not_cut():
    rate = 44100
    draw = np.random.default_rng(0)
    frequencies = np.fft.rfftfreq(4 * rate, 1 / rate)
    # As singers do: 25 dB within 500 Hz, and on by 3 dB per kHz.
    fall = np.interp(frequencies, [0, 4000, 4500, rate / 2], [0, -10, -35, -35 - 3 * (rate / 2000 - 4.5)])
    wav = np.fft.irfft(np.fft.rfft(draw.standard_normal(4 * rate)) * 10 ** (fall / 20))
    band = measure_band(of_16_bits(0.1 * wav / wav.std()), rate, 16)
    assert band.cut_by is None
    assert band.bandwidth > 8000


def test_levels_are_relative_to_a_full_scale_sine():
    rate = 48000
    sine = np.sin(2 * np.pi * 6000 * np.arange(4 * rate) / rate).astype(np.float32)[None]
    from evagan_plugin.audio.bandwidth import active_frames

    assert 10 * np.log10(active_frames(0.5 * sine, rate).mean(axis=0).max()) == pytest.approx(-6.02, abs=0.1)
    rounding = of_16_bits(np.random.default_rng(0).uniform(-0.4, 0.4, 4 * rate)) * 0
    rounding += np.random.default_rng(1).uniform(-(2.0**-16), 2.0**-16, 4 * rate).astype(np.float32)
    level = 10 * np.log10(active_frames(rounding, rate).mean())
    assert level == pytest.approx(rounding_level(rate, 16), abs=0.3)


def test_silence_has_no_bandwidth():
    band = measure_band(np.zeros((2, 44100), np.float32), 44100, 16)
    assert (band.bandwidth, band.cut_by) == (0, None)
