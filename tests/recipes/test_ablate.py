"""Ablations: variants trained, scored, set in one table; what is finished is not done again."""

import csv
import importlib
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import yaml

from evagan_plugin.errors import EvaganError

CONFIG = """
vocoder: eva_gan
vocoder_conf:
    preset: eva_gan_mini_16k
    training: {segment_frames: 16, discriminator_frames: 8}
batch_size: 2
"""


@pytest.fixture
def place(recipe):
    """The audio_dir recipe with a small base config, and a folder of generated audio of two categories."""
    pytest.importorskip("espnet2", reason="the extra 'espnet' is not installed")
    place = recipe("audio_dir/voc1")
    (place / "train_few.yaml").write_text(CONFIG)
    rows = ["path\tspeaker\tsplit\tcategory"]
    rng = np.random.default_rng(0)
    for number, split in enumerate(["train"] * 4 + ["dev", "test", "test"]):
        path = f"{split}{number}.wav"
        (place / "audio").mkdir(exist_ok=True)
        soundfile.write(place / "audio" / path, rng.uniform(-0.1, 0.1, 6000), 16000)
        rows.append(f"{path}\ts{number}\t{split}\t{('speech', 'drums')[number % 2]}")
    (place / "audio" / "manifest.tsv").write_text("\n".join(rows) + "\n")
    return place


def ablate(run, place, *options):
    few = ["--train_config", "train_few.yaml", "--steps", 2, "--epoch_steps", 1, "--score_metrics", "log_mel_l1"]
    return run(place, "./ablate.sh", "--audio_dir", "audio", *few, "--nj", 1, "--train_threads", 1, *options)


def rows_of(place) -> dict[str, list[str]]:
    """Return the cells of the first table of ABLATION.md by variant."""
    text = (place / "exp" / "ablate_few_2" / "ABLATION.md").read_text()
    lines = text[text.index("\n|") + 1 :].split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {row[0]: row for row in rows}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--audio_dir", "audio", "--only", "base no_cat"],
            "no variant 'no_cat' of eva_gan_mini_16k; known: base",
        ),
        (
            ["--audio_dir", "audio", "--steps", 10, "--epoch_steps", 3],
            "--steps 10 is not a multiple of --epoch_steps 3",
        ),
        (["--audio_dir", "audio", "--seeds", "1 x"], "--seeds takes whole numbers, not 'x'"),
        (
            ["--audio_dir", "audio", "--steps", 10, "--epoch_steps", 0],
            "not a multiple of --epoch_steps 0",
        ),
        *((["--audio_dir", "audio", "--lr_end", end], f"1, not '{end}'") for end in ("2", "0", "x")),
        (["--audio_dir", "audio", "--train_args", "--scheduler steplr"], "--train_args sets a scheduler"),
        (["--audio_dir", "audio", "--train_config", "none.yaml"], "there is no none.yaml"),
        (["--audio_dir", "audio", "--tag", "x"], "--tag is not for ablate.sh"),
        (["--audio_dir", "audio", "--stop_stage=4"], "--stop_stage is not for ablate.sh"),
        (["--audio_dir", "audio", "--ngpus", 1], "unknown option --ngpus"),
    ],
)
def test_wrong_options_are_told_before_any_work(recipe, run, options, said):
    place = recipe("audio_dir/voc1")
    done = run(place, "./ablate.sh", *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    assert not (place / "exp").exists()


def test_without_data_the_recipe_says_what_it_needs(recipe, run):
    place = recipe("audio_dir/voc1")
    done = run(place, "./ablate.sh")
    assert done.returncode == 2
    assert "--audio_dir is needed" in done.stderr.splitlines()[-1]
    assert not (place / "exp").exists()


@pytest.mark.parametrize("name", ["libritts/voc1", "ljspeech/voc1", "mini_an4/voc1", "vctk/voc1"])
def test_every_corpus_has_the_variants(recipe, run, name):
    place = recipe(name)
    config = next((place / "conf").glob("train_eva_gan_*.yaml"))
    done = run(place, "./ablate.sh", "--train_config", f"conf/{config.name}", "--only", "no_cat")
    assert done.returncode == 2
    variants = {"base", "hifigan", "leaky_relu", "mel_only", "no_balancer", "no_cam"}
    assert set(done.stderr.partition("known: ")[2].split()) >= variants


@pytest.fixture
def modules(egs, monkeypatch):
    """The modules ``ablation_curves`` and ``ablation_table``."""
    names = ("ablation_curves", "ablation_table")
    monkeypatch.syspath_prepend(egs / "TEMPLATE" / "voc1" / "utils")
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def curves(modules):
    return modules["ablation_curves"]


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ({"steps": 20}, r"steps: 10 \(voc_base_seed0\); 20 \(voc_base_seed1\)"),
        ({"schedule": "none"}, r"schedule: exponentiallr \(gamma 0.5\) \(.*\); none \("),
        ({"batch_size": 4}, r"batch size: 2 \(.*\); 4 \("),
        ({"device": "GPU"}, r"device: CPU \(.*\); GPU \("),
        ({"machine": "the CPU, 4 threads"}, r"machine: the CPU, 2 threads \(.*\); the CPU, 4 threads \("),
        ({"categories": {"m_stft": {}}}, r"test categories: drums, speech \(.*\); none \("),
    ],
)
def test_runs_that_differ_do_not_stand_in_one_table(modules, difference, said):
    table = modules["ablation_table"]
    one = table.Run(
        variant="base",
        seed=0,
        steps=10,
        parameters=1,
        seconds_a_step=1.0,
        peak_memory=1.0,
        device="CPU",
        machine="the CPU, 2 threads",
        batch_size=2,
        schedule="exponentiallr (gamma 0.5)",
        metrics={"m_stft": 1.0},
        controls={},
        categories={"m_stft": {"speech": 1.0, "drums": 1.0}},
        curves=[],
    )
    table.check_alike("exp", [one, replace(one, seed=1, machine="")])
    with pytest.raises(EvaganError, match=said):
        table.check_alike("exp", [one, replace(one, seed=1, **difference)])


def test_curves_are_of_every_log_interval_without_the_means_of_epochs(tmp_path, curves):
    tensorboard = pytest.importorskip("torch.utils.tensorboard", reason="the extra 'espnet' is not installed")
    with tensorboard.SummaryWriter(str(tmp_path / "tensorboard" / "train")) as writer:
        # As ESPnet writes them: intervals, then the epoch's mean at its last step; 30 was done again after a stop.
        for step, value in [(10, 4.0), (20, 2.0), (20, 3.0), (30, 9.0), (30, 1.0), (40, 0.5), (40, 0.75)]:
            writer.add_scalar("mel", value, step)
    epochs = [
        {"train": {"total_count": 20, "mel": 3.0}, "valid": {"mel": 2.5}},
        {"train": {"total_count": 40, "mel": 0.75}, "valid": {"mel": 0.25}},
    ]
    assert curves.read_curve(tmp_path, epochs) == [
        {"step": 10, "train_mel": 4.0},
        {"step": 20, "train_mel": 2.0, "valid_mel": 2.5},
        {"step": 30, "train_mel": 1.0},
        {"step": 40, "train_mel": 0.5, "valid_mel": 0.25},
    ]
    # Without a log, what the checkpoint has: the means of the epochs.
    assert [point["train_mel"] for point in curves.read_curve(tmp_path / "none", epochs)] == [3.0, 0.75]


def test_curves_are_drawn_with_the_range_of_seeds(tmp_path, curves, monkeypatch):
    figures = []
    monkeypatch.setattr(curves, "save_figure", lambda figure, out: figures.append(figure))
    one = [{"step": 10, "train_mel": 4.0}, {"step": 20, "train_mel": 2.0, "valid_mel": 2.5}]
    other = [{"step": 10, "train_mel": 2.0}, {"step": 20, "train_mel": 1.0, "valid_mel": 1.5}]
    curves.draw_curves({"base": [one, other], "a$_b": [one]}, tmp_path / "curves.png")
    training, validation = figures[0].axes
    assert [list(line.get_ydata()) for line in training.lines] == [[3.0, 1.5], [4.0, 2.0]]
    assert [list(line.get_ydata()) for line in validation.lines] == [[2.0], [2.5]]
    (shade,) = training.collections
    assert shade.get_paths()[0].get_extents().bounds == (10.0, 1.0, 10.0, 3.0)
    assert (training.get_xlabel(), training.get_ylabel()) == ("step", "mel loss")
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["base", "a$_b"]


@pytest.mark.parametrize(
    ("options", "schedule"),
    [
        ([], " --scheduler exponentiallr --scheduler_conf gamma=0.316228"),
        (["--lr_end", "0.25"], " --scheduler exponentiallr --scheduler_conf gamma=0.500000"),
        (["--epoch_steps", 9], " --scheduler exponentiallr --scheduler_conf gamma=0.100000"),
        (["--lr_end", ""], ""),
    ],
)
def test_the_learning_rate_falls_to_its_end_whatever_the_number_of_epochs(recipe, run, options, schedule):
    place = recipe("audio_dir/voc1")
    for name in ("train", "test"):
        (place / "dump" / name).mkdir(parents=True)
        for table in ("wav.scp", "utt2num_samples"):
            (place / "dump" / name / table).write_text("a 1\n")
    few = ["--only", "base", "--steps", 9, "--epoch_steps", 3, "--train_args", "--no_such_option"]
    assert run(place, "./ablate.sh", *few, *options).returncode != 0
    (settings,) = place.glob("exp/*/voc_base_seed0/settings")
    told = settings.read_text().splitlines()[0]
    assert schedule in told
    assert told.count("scheduler") == (4 if schedule else 0)


@pytest.mark.slow
def test_a_category_alone_is_trained_on_and_not_twice(place, run):
    done = ablate(run, place, "--only", "only_speech")
    assert done.returncode == 0, done.stderr
    assert "epoch 1/2 begins" in done.stderr
    assert "epoch 2: mel loss" in done.stderr
    exp = place / "exp" / "ablate_few_2" / "voc_only_speech_seed0"
    trained_on = (place / "dump" / "train_speech" / "wav.scp").read_text().split()[::2]
    assert trained_on == ["train0", "train2"]
    assert "dump/train_speech/wav.scp" in (exp / "config.yaml").read_text()
    scores = json.loads((exp / "scores" / "test" / "scores.json").read_text())
    assert set(scores["systems"]["only_speech_seed0"]["categories"]) == {"drums", "speech"}
    (row,) = json.loads((exp.parent / "ablation.json").read_text())
    assert (row["steps"], row["device"]) == (2, "CPU")
    assert 0.1 < row["peak_memory"] < 16
    assert 0 < row["seconds_a_step"] < 60
    assert row["metrics"]["log_mel_l1"] > 0
    weights = (exp / "checkpoint.pth").stat().st_mtime_ns
    again = ablate(run, place, "--only", "only_speech")
    assert "only_speech_seed0 is done" in again.stderr
    assert (exp / "checkpoint.pth").stat().st_mtime_ns == weights
    assert (exp / "device.txt").read_text() == "the CPU, 1 thread\n"
    assert row["machine"] == "the CPU, 1 thread"
    more = ablate(run, place, "--only", "only_speech", "--score_metrics", "log_mel_l1,m_stft")
    assert "only_speech_seed0: scores alone" in more.stderr
    assert "M-STFT" in (exp.parent / "ABLATION.md").read_text()
    assert (exp / "checkpoint.pth").stat().st_mtime_ns == weights
    other = ablate(run, place, "--only", "only_speech", "--train_args", "--optim_conf lr=0.1")
    assert other.returncode == 1
    assert "voc_only_speech_seed0 was made with other settings" in other.stderr


@pytest.mark.slow
def test_eva_gan_beside_hifigan_over_seeds(place, run):
    done = ablate(run, place, "--only", "base hifigan", "--seeds", "0 1")
    assert done.returncode == 0, done.stderr
    rows = rows_of(place)
    assert list(rows) == ["variant", "---", "base", "hifigan", "untrained", "ground truth (16 bit)"]
    cells = {variant: dict(zip(rows["variant"], rows[variant], strict=True)) for variant in ("base", "hifigan")}
    runs = json.loads((place / "exp" / "ablate_few_2" / "ablation.json").read_text())
    for variant, row in cells.items():
        values = [one["metrics"]["log_mel_l1"] for one in runs if one["variant"] == variant]
        assert values[0] != values[1], "the seed changed nothing"
        mean, low, high = (f"{figure:.3f}" for figure in (sum(values) / 2, min(values), max(values)))
        assert row["log-mel L1 ↓"] == f"{mean} [{low}, {high}]"
        assert row["seeds"] == "2"
    assert cells["base"]["memory ratio"] == "1.00"
    assert float(cells["hifigan"]["time ratio"]) > 0
    assert cells["base"]["parameters"] != cells["hifigan"]["parameters"]
    with (place / "exp" / "ablate_few_2" / "curves.csv").open() as stream:
        points = list(csv.DictReader(stream))
    assert [point["step"] for point in points] == ["1", "2"] * 4
    assert (place / "exp" / "ablate_few_2" / "curves.png").read_bytes().startswith(b"\x89PNG")
    settings = yaml.safe_load((place / "exp" / "ablate_few_2" / "voc_hifigan_seed1" / "config.yaml").read_text())
    assert (settings["vocoder"], settings["seed"]) == ("hifigan", 1)
    assert settings["scheduler_conf"] == settings["scheduler2_conf"] == {"gamma": 0.1}


@pytest.mark.slow
def test_another_corpus_prepares_its_data_by_itself(recipe, run):
    pytest.importorskip("espnet2", reason="the extra 'espnet' is not installed")
    place = recipe("mini_an4/voc1")
    few = ["--train_config", "conf/train_eva_gan_mini.yaml", "--steps", 2, "--epoch_steps", 1, "--nj", 1]
    few += ["--train_args", "--batch_size 1", "--score_metrics", "log_mel_l1"]
    done = run(place, "./ablate.sh", *few, "--only", "base no_cam")
    assert done.returncode == 0, done.stderr
    runs = json.loads((place / "exp" / "ablate_eva_gan_mini_2" / "ablation.json").read_text())
    assert [(run["variant"], run["steps"]) for run in runs] == [("base", 2), ("no_cam", 2)]
    assert runs[0]["parameters"] > runs[1]["parameters"]
