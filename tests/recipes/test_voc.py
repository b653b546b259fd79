"""voc.sh: stages that check their inputs and can be entered alone, and the whole recipe with a handful of steps."""

import json

import numpy as np
import pytest
import soundfile
import torch
import yaml

from evagan_plugin.config import build_config, load_preset
from evagan_plugin.data.kaldi import DataDir, write_table
from evagan_plugin.inference.eva_gan import EVAGANVocoder
from evagan_plugin.model.generator import EVAGANGenerator

RATE = 16000


@pytest.fixture
def place(recipe):
    """The mini_an4 recipe over three tiny sets of noise, as stage 1 would leave them."""
    place = recipe("mini_an4/voc1")
    for number, name in enumerate(("train", "dev", "test")):
        rng = np.random.default_rng(number)
        wav = {}
        for utterance in ("a", "b"):
            path = place / "audio" / f"{name} {utterance}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, rng.uniform(-0.1, 0.1, 6000), RATE)
            wav[f"{name}-{utterance}"] = path
        write_table(place / "data" / name / "wav.scp", wav)
    return place


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--stages", 2], 2, "unknown option --stages; known: --cmd --compare_exps"),
        (["--stage", 3, "--stop_stage", 2], 2, "--stage 3 is greater than --stop_stage 2"),
        (["--train_config", "conf/none.yaml"], 2, "there is no conf/none.yaml"),
        (["--tuning", "conf/tuning/none.yaml"], 2, "there is no conf/tuning/none.yaml"),
        (["--model", "none.pth"], 2, "there is no none.pth; --model names a trained model"),
        (["--tuning", "conf/tuning/a.yaml", "--model", "conf"], 2, "--tuning changes a training, and with --model"),
        (["--mix", "none.yaml"], 2, "there is no none.yaml; --mix names a mix.yaml"),
        (["--mix", "mix.yaml", "--feats_type", "npy"], 2, "--feats_type npy: a mix has audio alone"),
        (["--curation", "none.yaml"], 2, "there is no none.yaml; --curation names rules, such as conf/curation.yaml"),
        (["--cmd", "pbs"], 2, "unknown backend 'pbs' in --cmd or EVAGAN_BACKEND; known: local slurm"),
        (["--num_nodes", 2], 2, "--num_nodes 2: this machine is one; --cmd slurm has nodes"),
        (["--tag", "a=b"], 2, "--tag a=b: it names a directory and a system of the scores, without = and /"),
        (["--stage", 3], 1, "there is no dump/train/wav.scp; stage 2 makes it: ./run.sh --stage 2 --stop_stage 2"),
        (["--stage", 4], 1, "there is no exp/voc_eva_gan_tiny/valid.mel.best.pth; stage 3 makes it"),
        (["--stage", 5], 1, "there is no exp/voc_eva_gan_tiny/synth/test/wav.scp; stage 4 makes it"),
        (["--stage", 6], 1, "there is no exp/voc_eva_gan_tiny/synth/test/wav.scp; stage 4 makes it"),
        (["--stage", 7], 1, "there is no exp/voc_eva_gan_tiny/valid.mel.best.pth; stage 3 makes it"),
    ],
)
def test_a_stage_says_what_it_lacks(recipe, run, options, status, said):
    place = recipe("mini_an4/voc1")
    (place / "mix.yaml").write_text("sources: []\n")
    done = run(place, "./run.sh", *options)
    assert done.returncode == status
    assert said in done.stderr


def test_own_data_directory_is_formatted_and_broken_audio_stops_it(place, run):
    (place / "audio" / "train b.wav").write_bytes(b"RIFF")
    words = ["./run.sh", "--stage", 2, "--stop_stage", 2, "--nj", 8]
    done = run(place, *words)
    assert done.returncode == 1
    assert "broken: train-b:" in done.stderr
    assert "--skip_broken true goes on without it" in done.stderr
    assert not (place / "dump" / "train" / "wav.scp").exists()
    done = run(place, *words, "--skip_broken", "true")
    assert done.returncode == 0, done.stderr
    assert DataDir.read(place / "dump" / "train").utterances == ["train-a"]
    assert DataDir.read(place / "dump" / "test").utterances == ["test-a", "test-b"]


def test_config_error_is_told_before_any_work(place, run):
    (place / "wrong.yaml").write_text("vocoder_conf: {preset: eva_gan_tiny_16}\n")
    done = run(place, "./run.sh", "--stage", 2, "--train_config", "wrong.yaml")
    assert done.returncode == 2
    assert "wrong.yaml: vocoder_conf:" in done.stderr
    assert "eva_gan_tiny_16k" in done.stderr
    assert not (place / "dump").exists()


def test_training_starts_from_a_model_that_is_judged_beside_as_before(recipe, run):
    """A model of random weights, by its path: what comes before training is what it makes."""
    pytest.importorskip("espnet2", reason="espnet is not installed", exc_type=ImportError)
    place = recipe("mini_an4/voc1")
    small = {"preset": "eva_gan_tiny_16k", "generator": {"context": {"dims": [16], "depths": [1]}, "channels": 16}}
    config = build_config(small)
    torch.manual_seed(0)
    EVAGANVocoder(config, EVAGANGenerator.from_config(config)).save_pretrained(place / "start")
    settings = {"vocoder_conf": small, "batch_size": 2, "num_iters_per_epoch": 2, "max_epoch": 1, "num_att_plot": 0}
    (place / "train_few.yaml").write_text(yaml.safe_dump(settings | {"optim_conf": {"lr": 1.0e-9}}))
    words = ["./run.sh", "--train_config", "train_few.yaml", "--init_model", "start", "--score_metrics", "log_mel_l1"]
    done = run(place, *words, "--controls", "false", "--stop_stage", 5)
    assert done.returncode == 0, done.stderr
    exp = place / "exp" / "voc_few"
    systems = json.loads((exp / "scores" / "test" / "scores.json").read_text())["systems"]
    assert list(systems) == ["few", "before"]
    assert "has no discriminators: they start anew" in (exp / "train.log").read_text()
    # At such a learning rate training changes next to nothing: it began where the model was.
    trained, before = (system["metrics"]["log_mel_l1"]["value"] for system in systems.values())
    assert trained == pytest.approx(before, abs=1e-3)
    assert (exp / "scores" / "test" / "spectrograms.png").read_bytes().startswith(b"\x89PNG")


def test_unknown_backend_is_refused(place, run):
    done = run(place, "./run.sh", "--stage", 2, EVAGAN_BACKEND="sge")
    assert (done.returncode, "unknown backend 'sge'" in done.stderr) == (2, True)


def test_kaldi_root_without_kaldi_is_refused(place, run, tmp_path):
    done = run(place, "./run.sh", "--stage", 2, KALDI_ROOT=str(tmp_path))
    assert (done.returncode, "mend it or unset it" in done.stderr) == (2, True)


def test_kaldi_utils_are_used_where_there_is_kaldi(place, run, tmp_path):
    """The run.pl of KALDI_ROOT, which leaves a trace, runs the jobs."""
    utils = tmp_path / "kaldi" / "egs" / "wsj" / "s5" / "utils"
    utils.mkdir(parents=True)
    (utils / "run.pl").write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/trace\nshift 2; log=$1; shift; "$@" > $log 2>&1\n'
    )
    (utils / "run.pl").chmod(0o755)
    for name in ("train", "dev", "test"):
        (place / "dump" / name / "log").mkdir(parents=True)
    words = ["./run.sh", "--stage", 2, "--stop_stage", 2, "--nj", 1]
    done = run(place, *words, KALDI_ROOT=str(tmp_path / "kaldi"))
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "trace").read_text().splitlines()
    assert [call.split()[:2] for call in calls] == [["--num-threads", "1"]] * 3


@pytest.mark.slow
def test_a_model_of_another_recipe_is_judged_on_music(recipe, run):
    """DSD100's tree of noise, a model of random weights: scores by category, nothing is trained or packed."""
    pytest.importorskip("auraloss", reason="the extra 'score' is not installed")
    place = recipe("dsd100/voc1")
    songs = [("Sources", stem) for stem in ("bass", "drums", "vocals", "other")] + [("Mixtures", "mixture")]
    for tree, name in songs:
        path = place / "DSD100" / tree / "Test" / "001 - Band - Song" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, (6 * RATE, 2)), RATE)
    config = load_preset("eva_gan_mini_16k")
    EVAGANVocoder(config, EVAGANGenerator.from_config(config)).save_pretrained(place / "tiny")
    words = ["./run.sh", "--corpus_dir", "DSD100", "--model", "tiny", "--items", 1, "--nj", 1]
    done = run(place, *words, "--stop_stage", 5)
    assert done.returncode == 0, done.stderr
    assert "stage 3: nothing to train, --model is tiny" in done.stderr
    scores = json.loads((place / "exp" / "voc_tiny" / "scores" / "test" / "scores.json").read_text())
    assert set(scores["systems"]["tiny"]["categories"]) == {"bass", "drums", "vocals", "other", "mixture"}
    assert {"untrained", "ground truth (16 bit)"} < set(scores["systems"])
    assert soundfile.info(place / "exp" / "voc_tiny" / "synth" / "test" / "bass-01.wav").frames == 5 * RATE
    assert DataDir.read(place / "dump" / "test").category["bass-01"] == "bass"
    # A second model, packed by the stage 7 of an experiment of the same name, is another experiment.
    second = place / "other" / "exp" / "voc_tiny" / "packed"
    EVAGANVocoder(config, EVAGANGenerator.from_config(config)).save_pretrained(second)
    words_b = ["./run.sh", "--corpus_dir", "DSD100", "--model", second, "--items", 1, "--nj", 1]
    refused = run(place, *words_b, "--stage", 4, "--stop_stage", 5)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert f"exp/voc_tiny is of {place / 'tiny'}, not of {second}: give --tag NAME" in refused.stderr
    both = run(place, *words_b, "--tag", "b", "--compare_exps", "exp/voc_tiny", "--stage", 4, "--stop_stage", 5)
    assert both.returncode == 0, both.stderr
    comparison = json.loads((place / "exp" / "voc_b" / "scores" / "test" / "comparison.json").read_text())
    timed = {name for name, system in comparison["systems"].items() if system["cost"]}
    assert timed == {"b", "tiny"}
    packed = run(place, *words, "--stage", 7)
    assert (packed.returncode, "nothing to pack, tiny is of another experiment" in packed.stderr) == (0, True)


def test_whole_recipe_with_a_handful_of_steps(recipe, run):
    pytest.importorskip("espnet2", reason="espnet is not installed", exc_type=ImportError)
    place = recipe("mini_an4/voc1")
    config = place / "train_few.yaml"
    config.write_text(
        "vocoder: eva_gan\n"
        "vocoder_conf:\n"
        "    preset: eva_gan_mini_16k\n"
        "    training: {segment_frames: 16, discriminator_frames: 8}\n"
        "batch_size: 2\nnum_iters_per_epoch: 2\nmax_epoch: 1\nnum_att_plot: 1\n"
    )
    words = ["./run.sh", "--train_config", config.name, "--nj", 4, "--score_metrics", "log_mel_l1"]
    done = run(place, *words)
    assert done.returncode == 0, done.stderr
    exp = place / "exp" / "voc_few"
    made = DataDir.read(exp / "synth" / "test")
    reference = DataDir.read(place / "dump" / "test")
    assert made.utterances == reference.utterances
    for utterance in made.utterances:
        ours, theirs = (soundfile.info(place / data.wav[utterance]) for data in (made, reference))
        assert (ours.frames, ours.samplerate) == (theirs.frames, theirs.samplerate)
    systems = json.loads((exp / "scores" / "test" / "scores.json").read_text())["systems"]
    assert {"few", "untrained"} < set(systems)
    assert "log-mel L1" in (exp / "RESULTS.md").read_text()
    assert "<title>" in (exp / "scores" / "test" / "report.html").read_text()
    assert (exp / "listening" / "test" / "test.yaml").is_file()
    assert (exp / "packed" / "model.safetensors").is_file()
    before = (exp / "synth" / "test" / "wav.scp").stat().st_mtime_ns
    again = run(place, *words, "--stage", 4, "--stop_stage", 4)
    assert again.returncode == 0, again.stderr
    assert "synth/test is up to date" in again.stderr
    assert (exp / "synth" / "test" / "wav.scp").stat().st_mtime_ns == before
