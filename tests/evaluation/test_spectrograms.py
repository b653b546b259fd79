"""Pictures of mel spectrograms: what is drawn where, and on which scale."""

import sys

import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure

from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.evaluation.spectrograms import (
    BANDS,
    DIFFERENCE_DB,
    RANGE_DB,
    difference_figure,
    loudest_level,
    mel_figure,
    plot_systems,
)
from evagan_plugin.utils.figures import NAME_LENGTH, caption, save_figure

SAMPLE_RATE = 44100


def tone(hertz, level=0.5, seconds=0.5):
    """Return a sine."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def panels(figure):
    """Return the axes that hold spectrograms."""
    return [axes for axes in figure.axes if axes.images]


def test_one_row_an_utterance_one_column_a_system_one_scale():
    figure = mel_figure(
        {
            "a": {"reference": tone(440), "eva_gan": tone(440, 0.05)},
            "b": {"reference": tone(880), "eva_gan": tone(880)},
        },
        SAMPLE_RATE,
    )
    assert isinstance(figure, Figure)
    drawn = panels(figure)
    assert len(drawn) == 4
    assert {axes.images[0].get_clim() for axes in drawn} == {(-RANGE_DB, 0.0)}
    assert [axes.get_title() for axes in drawn[:2]] == ["reference", "eva_gan"]
    assert len(figure.axes) == 5, "four panels and one colour bar"
    peaks = [axes.images[0].get_array().max() for axes in drawn]
    assert max(peaks) == pytest.approx(0.0, abs=1e-4)
    assert peaks[1] - peaks[0] == pytest.approx(-20.0, abs=0.5), "a tenth of the amplitude is 20 dB darker"


def test_axes_are_seconds_and_kilohertz_up_to_half_the_sample_rate():
    figure = mel_figure({"a": {"reference": tone(8000, seconds=0.75)}}, SAMPLE_RATE)
    axes = panels(figure)[0]
    assert axes.get_xlim() == pytest.approx((0.0, 0.75))
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert (labels[0], labels[-1]) == ("0", "22.05")
    picture = axes.images[0].get_array()
    loudest_band = int(picture.mean(axis=1).argmax())
    tick = axes.get_yticks()[labels.index("8")]
    assert tick == pytest.approx(loudest_band + 0.5, abs=1.0), "the tick of 8 kHz lies on a tone of 8 kHz"
    assert picture.shape[0] == BANDS


def test_a_system_without_an_utterance_leaves_its_place_empty():
    figure = mel_figure({"a": {"reference": tone(440), "x": tone(440)}, "b": {"reference": tone(440)}}, SAMPLE_RATE)
    assert len(panels(figure)) == 3
    assert any(text.get_text() == "no audio" for axes in figure.axes for text in axes.texts)


def test_the_picture_is_written_whole_and_is_not_black(tmp_path):
    reference, system = tmp_path / "ref", tmp_path / "hyp"
    for folder, level in ((reference, 0.5), (system, 0.4)):
        folder.mkdir()
        for index in range(6):
            soundfile.write(folder / f"utt{index}.wav", tone(300 * (index + 1), level), SAMPLE_RATE)
    out = tmp_path / "pictures" / "mel.png"
    plot_systems(reference, {"eva_gan": system}, out, rows=2)
    assert [path.name for path in out.parent.iterdir()] == ["mel.png"]
    from matplotlib.image import imread

    pixels = imread(out)
    assert pixels.shape[1] > 800
    assert pixels[..., :3].std() > 0.1


def test_two_files_are_drawn_at_one_rate(tmp_path, evagan):
    soundfile.write(tmp_path / "take.wav", tone(300), SAMPLE_RATE)
    soundfile.write(tmp_path / "copy.wav", tone(300)[::2], SAMPLE_RATE // 2)
    command = ("plot", tmp_path / "take.wav", tmp_path / "copy.wav", "--out", tmp_path / "mels.png")
    status, _, errors = evagan(*command)
    assert status == 2 and errors.count("\n") == 1 and not (tmp_path / "mels.png").exists()
    assert "22050 Hz (copy, 'take'); 44100 Hz (the reference, 'take')" in errors
    assert "evagan format DIR_OR_FILE NEW_DIR --sample-rate RATE" in errors
    assert evagan("format", tmp_path / "take.wav", tmp_path / "formatted", "--sample-rate", SAMPLE_RATE // 2)[0] == 0
    status, _, errors = evagan(command[0], tmp_path / "formatted/data/take.wav", *command[2:])
    assert status == 0, errors
    assert (tmp_path / "mels.png").is_file()


def test_unknown_utterance_and_unknown_format_are_refused(tmp_path):
    folder = tmp_path / "ref"
    folder.mkdir()
    soundfile.write(folder / "utt1.wav", tone(300), SAMPLE_RATE)
    with pytest.raises(UsageError, match="did you mean 'utt1'"):
        plot_systems(folder, {"same": folder}, tmp_path / "x.png", utterances=["utt2"])
    with pytest.raises(UsageError, match="'reference'"):
        plot_systems(folder, {"reference": folder}, tmp_path / "x.png")
    with pytest.raises(UsageError, match=r"not as '\.bmpx'"):
        save_figure(mel_figure({"a": {"reference": tone(300)}}, SAMPLE_RATE), tmp_path / "x.bmpx")
    with pytest.raises(UsageError, match="nothing to draw"):
        mel_figure({}, SAMPLE_RATE)
    with pytest.raises(UsageError, match="too few"):
        mel_figure({"a": {"reference": tone(300)[:100]}}, SAMPLE_RATE)


def test_tensorboard_takes_the_figure(tmp_path):
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    writer = tensorboard.SummaryWriter(tmp_path)
    writer.add_figure("mel", mel_figure({"a": {"reference": tone(440)}}, SAMPLE_RATE), 1)
    writer.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) > 10000


def test_names_are_drawn_as_they_stand(tmp_path):
    name = r"a$_\frac$\$"
    wave = tone(440)
    for figure in (
        mel_figure({name: {name: wave}}, SAMPLE_RATE),
        difference_figure(name, wave, wave, name, SAMPLE_RATE, loudest_level([wave], SAMPLE_RATE)),
    ):
        save_figure(figure, tmp_path / "mel.svg")
        assert (tmp_path / "mel.svg").read_text().count(f"<!-- {name} -->") == 2, "title and name of the row"
    assert len(caption("x" * 50)) == NAME_LENGTH


def test_pyplot_and_its_global_state_are_not_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    assert panels(mel_figure({"a": {"reference": tone(440)}}, SAMPLE_RATE))


def test_a_missing_matplotlib_names_every_extra_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EvaganError, match=r"evagan-plugin\[score\]' \(listen or espnet brings it too\)"):
        mel_figure({"a": {"reference": tone(440)}}, SAMPLE_RATE)


def test_a_difference_picture_has_one_scale_and_shows_what_is_too_loud_and_too_soft():
    reference, system = tone(440), tone(440, 0.05) + tone(8000, 0.5)
    loudest = loudest_level([reference, system], SAMPLE_RATE)
    figure = difference_figure("a", reference, system, "eva_gan", SAMPLE_RATE, loudest)
    left, middle, right = panels(figure)[:3]
    assert [axes.get_title() for axes in (left, middle)] == ["reference", "eva_gan"]
    assert left.images[0].get_clim() == middle.images[0].get_clim() == (-RANGE_DB, 0.0)
    assert right.images[0].get_clim() == (-DIFFERENCE_DB, DIFFERENCE_DB)
    assert {axes.images[0].get_array().shape[0] for axes in (left, middle, right)} == {BANDS}
    assert {(axes.get_ylim(), axes.get_xlim()) for axes in (left, middle, right)} == {((0.0, BANDS), (0.0, 0.5))}
    difference = right.images[0].get_array().mean(axis=1)
    assert difference.min() == pytest.approx(-20.0, abs=0.5), "a tenth of the amplitude is 20 dB too soft"
    assert difference.max() > 40, "the second tone is not in the reference"
    ticks = [label.get_text() for label in left.get_yticklabels()]
    assert ticks[-1] == "22.05"
    assert int(difference.argmax()) == pytest.approx(left.get_yticks()[ticks.index("8")] - 0.5, abs=1.0)


def test_below_the_range_nothing_differs():
    quiet, quieter = tone(440, 1e-6), tone(880, 1e-7)
    figure = difference_figure("a", quiet, quieter, "eva_gan", SAMPLE_RATE, loudest_level([tone(440)], SAMPLE_RATE))
    assert not np.any(panels(figure)[2].images[0].get_array())
