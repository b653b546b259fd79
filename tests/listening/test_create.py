"""Making a test: matching, cutting, levels, anchor, checks, and what is refused."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
import yaml
from listening_bench import RATE, tone

from evagan_plugin.errors import ConfigError, UsageError
from evagan_plugin.listening.add import add_system
from evagan_plugin.listening.create import create_test
from evagan_plugin.listening.design import samples
from evagan_plugin.listening.design.design import audio_path, load_design
from evagan_plugin.listening.design.options import ListeningOptions


def read(made, audio: str) -> np.ndarray:
    wav, rate = soundfile.read(audio_path(made.folder, audio))
    assert rate == made.design.sample_rate
    return wav


def test_all_samples_of_an_item_have_one_loudness_and_one_size(make_test):
    made = make_test(count=3)
    design = made.design
    assert [system.name for system in design.systems] == ["good", "bad", "reference", "anchor_3500hz"]
    for item in design.items:
        files = [audio_path(made.folder, audio) for audio in (item.reference, *item.audio.values())]
        assert len({path.stat().st_size for path in files}) == 1
        for path in files:
            wav, rate = soundfile.read(path)
            assert samples.loudness_of(wav, rate) == pytest.approx(design.loudness - item.lowered_db, abs=0.1)
            assert np.abs(wav).max() <= 10 ** (samples.PEAK_CEILING_DB / 20) + 1e-4
    rows = (made.folder / "loudness.tsv").read_text().splitlines()
    assert rows[0].split("\t") == ["item", "sample", "lufs_before", "gain_db"] and len(rows) == 1 + 3 * 4


def test_a_peaky_item_is_lowered_as_a_whole_and_never_clips(corpus, tmp_path):
    folders = corpus(systems=("good",), count=2, seconds=2.0)
    click = np.zeros(2 * RATE, dtype=np.float32)
    click[::4000] = 0.9
    soundfile.write(folders["good"] / "utt00.wav", click, RATE)
    design = create_test(
        tmp_path / "t", folders["reference"], {"good": folders["good"]}, ListeningOptions(training_items=0)
    )
    item = design.by_id["utt00"]
    assert item.lowered_db > 0 and design.by_id["utt01"].lowered_db == 0
    peak = np.abs(soundfile.read(audio_path(tmp_path / "t", item.audio["good"]))[0]).max()
    assert peak == pytest.approx(10 ** (samples.PEAK_CEILING_DB / 20), abs=1e-3)
    levels = [
        samples.loudness_of(soundfile.read(audio_path(tmp_path / "t", audio))[0], RATE)
        for audio in (item.reference, item.audio["good"])
    ]
    assert levels[0] == pytest.approx(levels[1], abs=0.1)


def test_keep_levels_leaves_samples_as_they_are(make_test, tmp_path):
    made = make_test(count=1, align_loudness=False, training_items=0, checks=0)
    [item] = made.design.items
    original, _ = soundfile.read(tmp_path / "corpus" / "bad" / "utt00.wav")
    inner = slice(RATE // 50, -RATE // 50)
    np.testing.assert_allclose(read(made, item.audio["bad"])[inner], original[inner], atol=2 / 2**15)
    assert made.design.loudness is None


def test_the_anchor_has_nothing_above_its_edge():
    noise = np.random.default_rng(0).standard_normal(RATE * 2).astype(np.float32) * 0.1
    spectrum = np.abs(np.fft.rfft(samples.low_anchor(noise, RATE)))
    original = np.abs(np.fft.rfft(noise))
    hertz = np.fft.rfftfreq(len(noise), 1 / RATE)

    def change_db(low: float, high: float) -> float:
        band = (hertz >= low) & (hertz < high)
        return 10 * np.log10(np.square(spectrum[band]).sum() / np.square(original[band]).sum())

    assert abs(change_db(100, 3400)) < 0.1
    assert change_db(4000, 4100) < -25 and change_db(4500, 8000) < -50


def test_long_items_are_cut_at_quiet_points_around_the_liveliest_part():
    rate = 8000
    wav = np.full(30 * rate, 1e-4, dtype=np.float32)
    wav[12 * rate : 20 * rate] = 0.3 * np.sin(np.arange(8 * rate))
    begin, end = samples.choose_passage(wav, rate, 10.0)
    assert 7.4 * rate <= end - begin <= 10 * rate
    assert begin <= 12 * rate and end >= 20 * rate
    assert samples.choose_passage(wav[: 9 * rate], rate, 10.0) == (0, 9 * rate)


def test_cut_items_are_the_same_passage_in_all_systems(make_test):
    made = make_test(systems=("good",), count=1, seconds=4.0, max_seconds=2.0, training_items=0)
    [item] = made.design.items
    assert 1.5 <= item.seconds <= 2.0
    reference, good = read(made, item.reference), read(made, item.audio["good"])
    lags = np.correlate(good, reference[500:-500], mode="valid")
    assert lags.argmax() == 500
    assert abs(reference[0]) < 1e-3 and abs(reference[-1]) < 1e-3


@pytest.mark.parametrize("beeps", [1, 2, 4])
def test_attention_checks_have_countable_beeps(beeps):
    checked = samples.with_beeps(tone(4.0, 1), RATE, beeps)
    second_half = np.abs(checked[len(checked) // 2 :])
    loud = np.convolve(second_half > 0.01, np.ones(400), mode="same") > 0
    assert np.count_nonzero(np.diff(np.concatenate([[False], loud]).astype(int)) == 1) == beeps
    assert samples.most_beeps(4.0) >= beeps and len(checked) == 4 * RATE


def test_categories_and_their_counts_come_from_the_manifest(corpus, tmp_path):
    folders = corpus(systems=("good",), count=9)
    categories = {f"utt{number:02d}": ("drums", "singing", "sfx")[number % 3] for number in range(9)}
    options = ListeningOptions(categories=categories, items_per_category=2, training_items=1)
    design = create_test(tmp_path / "t", folders["reference"], {"good": folders["good"]}, options)
    counts = [item.category for item in design.test_items]
    assert sorted(counts) == ["drums", "drums", "sfx", "sfx", "singing", "singing"]
    assert len(design.training_items) == 1
    assert load_design(tmp_path / "t") == design


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"protocol": "smoss"}, "did you mean 'smos'"),
        ({"language": "fr"}, "unknown language 'fr'"),
        ({"protocol": "ab", "half_points": True}, "half points belong to smos and mos"),
        ({"max_seconds": 0.1}, "0.5 to 60 s"),
        ({"training_items": 4}, "do not suffice"),
        ({"categories": {"other": "x"}}, "no utterance id is common"),
    ],
)
def test_bad_options_are_one_line(corpus, tmp_path, options, says):
    folders = corpus(systems=("good",))
    with pytest.raises(UsageError, match=says):
        create_test(tmp_path / "t", folders["reference"], {"good": folders["good"]}, ListeningOptions(**options))
    assert not (tmp_path / "t").exists() and not list(tmp_path.glob(".*"))


def test_bad_audio_is_one_line_and_leaves_nothing_behind(corpus, tmp_path):
    folders = corpus(systems=("good",))
    systems = {"good": folders["good"]}
    soundfile.write(folders["good"] / "utt02.wav", tone(3.0, 2), RATE)
    with pytest.raises(UsageError, match=r"utt02.wav: 3.00 s long, its reference 1.20 s"):
        create_test(tmp_path / "t", folders["reference"], systems)
    soundfile.write(folders["reference"] / "utt02.wav", np.zeros(3 * RATE), RATE)
    with pytest.raises(UsageError, match=r"utt02.wav: silent"):
        create_test(tmp_path / "t", folders["reference"], systems)
    with pytest.raises(UsageError, match="is the name of a sample that the test adds itself"):
        create_test(tmp_path / "t", folders["reference"], {"reference": folders["good"]})
    with pytest.raises(UsageError, match="system name 'a/b'"):
        create_test(tmp_path / "t", folders["reference"], {"a/b": folders["good"]})
    assert not (tmp_path / "t").exists() and not list(tmp_path.glob(".*"))


def test_an_existing_folder_is_not_overwritten(make_test, tmp_path):
    made = make_test(count=2)
    with pytest.raises(UsageError, match="exists already"):
        create_test(made.folder, tmp_path / "corpus" / "reference", {"good": tmp_path / "corpus" / "good"})


def test_a_damaged_test_file_names_the_field(make_test):
    made = make_test(count=2)
    path = made.folder / "test.yaml"
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {"items_per_rater": 0}))
    with pytest.raises(ConfigError, match=r"test\.yaml: ") as caught:
        load_design(made.folder)
    assert caught.value.field == "items_per_rater"
    with pytest.raises(UsageError, match="no listening test"):
        load_design(made.folder / "audio")


def test_systems_added_at_once_all_get_in(make_test):
    made = make_test(systems=("good",), count=2)
    folder = made.design.systems[0].source
    names = [f"step{number}" for number in range(4)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: add_system(made.folder, name, folder), names))
    design = load_design(made.folder)
    assert {system.name for system in design.systems} >= set(names)
    levels = (made.folder / "loudness.tsv").read_text().split()
    assert all(levels.count(name) == 2 for name in names)
