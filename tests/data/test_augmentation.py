"""What is changed in a training item: how much, that it follows from the item alone, and what is refused."""

from fractions import Fraction

import numpy as np
import pytest

from evagan_plugin.config import build_config
from evagan_plugin.data.augmentation import Augmentation, Change, refuse_given_mels
from evagan_plugin.data.segments import SegmentCrop, stack
from evagan_plugin.errors import ConfigError, UsageError

HOP, FRAMES, RATE = 256, 32, 16000
ALL = {"gain_db": [-12, 6], "pitch_shift": [-3, 3], "mel_smoothing": 2.5}


def crop(**training) -> SegmentCrop:
    settings = {"segment_frames": FRAMES} | training
    return SegmentCrop.for_training(build_config({"preset": "eva_gan_tiny_16k", "training": settings}))


def tone(frequency: float, seconds: float = 2.0, level: float = 0.2) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def frequency_of(wav: np.ndarray) -> float:
    """Return the strongest frequency (Hz), to a fraction of a bin."""
    spectrum = np.log(np.abs(np.fft.rfft(wav * np.hanning(len(wav)))) + 1e-9)
    peak = int(spectrum.argmax())
    left, middle, right = spectrum[peak - 1 : peak + 2]
    return (peak + 0.5 * (left - right) / (left - 2 * middle + right)) * RATE / len(wav)


@pytest.mark.parametrize("semitones", [-12.0, -2.3, 0.4, 5.0, 12.0])
def test_the_pitch_moves_by_the_semitones(semitones):
    cut = crop(pitch_shift=[semitones, semitones])
    wav = cut("u", {"wav": tone(440.0)}, 12345)["wav"]
    assert wav.shape == (FRAMES * HOP,) and wav.dtype == np.float32
    assert 12 * np.log2(frequency_of(wav) / 440.0) == pytest.approx(semitones, abs=0.1)
    # No seam where the stretch was cut out: a steady tone stays steady up to both ends.
    inner = np.abs(wav[HOP:-HOP]).max()
    assert np.abs(wav).max() < 1.02 * inner and np.abs(wav[:20]).max() > 0.1 * inner


@pytest.mark.parametrize("semitones", [-12.0, 7.0])
def test_the_stretch_lies_within_the_recording_and_can_be_any_of_it(semitones):
    """Of a level that grows, the first and the last part that fits are drawn, with no zeros behind them."""
    seconds = 3.0
    cut = crop(pitch_shift=[semitones, semitones])
    wav = tone(300.0, seconds) * np.linspace(0.1, 1.0, round(seconds * RATE), dtype=np.float32)
    levels = [np.abs(cut("u", {"wav": wav}, draw)["wav"]).max() for draw in range(400)]
    ends = [np.abs(cut("u", {"wav": wav}, draw)["wav"][-100:]).max() for draw in range(400)]
    share = FRAMES * HOP * 2 ** (semitones / 12) / len(wav)
    assert min(levels) == pytest.approx(0.2 * (0.1 + 0.9 * share), rel=0.05)
    assert max(levels) == pytest.approx(0.2, rel=0.03) and min(ends) > 0.01


def test_short_recordings_are_padded():
    wav = crop(pitch_shift=[12, 12])("u", {"wav": tone(440.0, 0.5)}, 3)["wav"]
    assert wav.shape == (FRAMES * HOP,)
    assert np.abs(wav[: RATE // 4 - 200]).max() > 0.1 and not wav[RATE // 4 + 1 :].any()


def test_the_gain_is_within_its_limits_and_clips_nothing():
    quiet, loud = tone(440.0, level=0.05), tone(440.0, level=0.9)
    cut = crop(gain_db=[-6, 12])
    gains = [20 * np.log10(np.abs(cut("u", {"wav": quiet}, draw)["wav"]).max() / 0.05) for draw in range(60)]
    assert -6.1 < min(gains) < -4 and 10 < max(gains) < 12.1
    peaks = [np.abs(cut("u", {"wav": loud}, draw)["wav"]).max() for draw in range(60)]
    assert max(peaks) == pytest.approx(1.0, abs=1e-4) and min(peaks) < 0.6
    over = Change(gain=2.0).stretch(np.full(10, 1.5, np.float32), 0, 10)
    assert (over == 1.5).all()  # beyond full scale as it is: not raised
    assert not Change(gain=2.0).stretch(np.zeros(10, np.float32), 0, 10).any()


def test_a_change_follows_from_the_number_alone():
    data = {"wav": np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32)}
    one, other = crop(**ALL), crop(**ALL)
    for draw in (0, 1, 2**32 - 1):
        for name, value in one("u", data, draw).items():
            np.testing.assert_array_equal(value, other("u", data, draw)[name])
    assert not np.array_equal(one("u", data, 1)["wav"], one("u", data, 2)["wav"])
    # One option does not change what the others draw.
    training = build_config({"preset": "eva_gan_tiny_16k", "training": ALL | {"gain_db": "off"}}).training
    assert Augmentation(training).draw(7).speed == one.augmentation.draw(7).speed != Fraction(1)


def test_widths_come_with_the_items():
    cut = crop(mel_smoothing=2.5)
    wav = {"wav": tone(440.0)}
    _, batch = stack([("u", cut("u", wav, draw)) for draw in range(50)])
    assert batch["smoothing"].shape == (50,) and batch["smoothing"].dtype == batch["wav"].dtype
    assert 0 <= batch["smoothing"].min() < 0.3 and 2.2 < batch["smoothing"].max() <= 2.5


def test_validation_and_listening_take_recordings_as_they_are():
    config = build_config({"preset": "eva_gan_tiny_16k", "training": {"segment_frames": FRAMES} | ALL})
    plain = crop()
    wav = tone(440.0)
    cut = SegmentCrop.for_validation(config)("u", {"wav": wav}, 99)
    assert cut.keys() == {"wav"}
    np.testing.assert_array_equal(cut["wav"], plain("u", {"wav": wav}, 99)["wav"])
    np.testing.assert_array_equal(SegmentCrop.for_listening(config)("u", {"wav": wav}, 0)["wav"], wav)


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"gain_db": [3, -3]}, "the lowest comes first"),
        ({"gain_db": 3}, "valid tuple"),
        ({"gain_db": [1, 2, 3]}, "at most 2"),
        ({"pitch_shift": [-13, 0]}, "at most 12 semitones"),
        ({"pitch_shift": [2, 1]}, "the lowest comes first"),
        ({"mel_smoothing": -1}, "greater than or equal to 0"),
        ({"mel_smoothing": "wide"}, "valid number"),
    ],
)
def test_wrong_options_are_one_line_that_names_the_field(training, words):
    with pytest.raises(ConfigError, match=words) as caught:
        crop(**training)
    assert "\n" not in str(caught.value)
    assert caught.value.field.startswith(f"training.{next(iter(training))}")


def test_mels_that_are_given_exclude_what_changes_the_waveform():
    data = {"wav": tone(440.0)[: 60 * HOP], "feats": np.zeros((60, 80), np.float32)}
    for name in ("gain_db", "pitch_shift"):
        with pytest.raises(UsageError, match=f"utterance 'u'.*training.{name}"):
            crop(**{name: [-1, 1]})("u", data, 0)
    assert "smoothing" in crop(mel_smoothing=1.0)("u", data, 0)  # the mel alone
    with pytest.raises(UsageError, match=r"feats.scp: .*training.gain_db and training.pitch_shift"):
        refuse_given_mels(crop(**ALL).augmentation.training, "feats.scp")
