"""Recipes on a real SLURM of two nodes on this machine, with killed tasks: `python -m pytest -m slow FILE`."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from mixes import FEW_STEPS, RATE, write_configs
from slurm_cluster import start, started, wait_for

from evagan_plugin.data.kaldi import write_table


@pytest.fixture
def lay_out(recipe, tmp_path):
    """Return a function that lays out a recipe with three short recordings; it returns what judges a model on them."""

    def call(name):
        place = recipe(name)
        wav = {name: tmp_path / f"{name}.wav" for name in "abc"}
        for number, path in enumerate(wav.values()):
            if not path.exists():
                soundfile.write(path, np.random.default_rng(number).uniform(-0.1, 0.1, RATE), RATE)
        write_table(place / "data" / "test" / "wav.scp", wav)
        words = ["./voc.sh", "--model", "eva_gan_tiny_16k", "--tag", "a", "--nj", 2, "--controls", "false"]
        return place, [*words, "--score_metrics", "log_mel_l1"]

    return call


def killed_and_run_again(place, cluster, words, work, kill=()):
    """Run a stage, cancel its first part or send it a signal, and run it again.

    Args:
        place: Directory of the recipe.
        cluster: Where its jobs run.
        words: What runs the stage.
        work: Logs of the parts, without number.
        kill: Options for scancel.
    """
    words = [*words, "--cmd", "slurm", "--job_options", "--retries 0"]
    with start(place, cluster, *words) as process:
        cluster.call("scancel", *kill, started(place / f"{work}.1.log")[0])
        errors = process.stderr.read()
    assert process.returncode == 1, errors
    assert re.search(rf"job 1 failed \(\w+\), log is in {work}\.1\.log", errors), errors
    assert "1 of 2 jobs failed" in errors
    left_alone = place / f"{work}.2.log"
    changed = left_alone.stat().st_mtime_ns
    with start(place, cluster, *words) as process:
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    assert f"{work}: 1 of 2 parts are left" in errors
    assert left_alone.stat().st_mtime_ns == changed


@pytest.mark.slow
def test_a_recipe_with_a_task_killed_in_each_stage_gives_the_bytes_of_run_pl(lay_out, cluster):
    """Formatting, synthesis and scoring, each in two parts."""
    pytest.importorskip("auraloss", reason="the extra 'score' is not installed")
    place, words = lay_out("mini_an4/voc1")
    other, _ = lay_out("dsd100/voc1")
    with start(other, cluster, *words, "--stage", 2, "--stop_stage", 5, "--cmd", "local") as process:
        for stage, work, kill in (
            (2, "dump/test/log/format", []),
            (4, "exp/voc_a/synth/test/log/synth", ["--signal=KILL", "--full"]),
            (5, "exp/voc_a/scores/test/log/score", []),
        ):
            killed_and_run_again(place, cluster, [*words, "--stage", stage, "--stop_stage", stage], work, kill)
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    made = contents(place)
    assert len([name for name in made if name.endswith(".wav")]) == 6
    assert "exp/voc_a/scores/test/scores.json" in made
    assert made == contents(other)


@pytest.mark.slow
def test_a_curation_with_a_task_killed_gives_the_bytes_of_run_pl(lay_out, cluster, tmp_path):
    pytest.importorskip("pyloudnorm", reason="the extra 'curate' is not installed")
    rules = tmp_path / "rules.yaml"
    rules.write_text("refuse_cut_by: off\n")
    place, words = lay_out("mini_an4/voc1")
    other, _ = lay_out("dsd100/voc1")
    # The test set is curated as a training set would be.
    words += ["--train_set", "test", "--curation", rules, "--stage", 2, "--stop_stage", 2]
    with start(other, cluster, *words, "--cmd", "local") as process:
        killed_and_run_again(place, cluster, words, "dump/curated/test/log/curate")
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    made = contents(place)
    assert "dump/curated/test/curation.tsv" in made
    assert len(made["dump/test/wav.scp"].splitlines()) == 3
    assert made == contents(other)


@pytest.fixture
def lay_out_mix(recipe, tmp_path):
    """Return a function that lays out a recipe with a mix of noise, of which one source is to come from data/speech.

    It returns where, and what calls the recipe with a training of 12 steps.
    """

    def noise(name, count):
        wav = {f"{name}-{number}": tmp_path / f"{name}-{number}.wav" for number in range(count)}
        for number, path in enumerate(wav.values()):
            if not path.exists():
                level = 0.05 * (1 + number)  # so that losses say which of them were heard
                wave = np.random.default_rng(list(path.stem.encode())).uniform(-level, level, RATE)
                soundfile.write(path, wave, RATE)
        return wav

    def call(name, **change):
        pytest.importorskip("espnet2", reason="espnet is not installed", exc_type=ImportError)
        place = recipe(name)
        for name, count in (("data/speech", 4), ("data/dev", 2), ("music", 4)):
            write_table(place / name / "wav.scp", noise(Path(name).name, count))
        paths = {"speech": "dump/speech", "music": "music"}
        sources = [{"name": name, "path": path, "share": 1} for name, path in paths.items()]
        (place / "mix.yaml").write_text(yaml.safe_dump({"sources": sources}))
        options = write_configs(place)
        (place / "rules.yaml").write_text("refuse_cut_by: off\n")
        (place / "train_few.yaml").write_text(yaml.safe_dump(FEW_STEPS | {"max_epoch": 6} | change))
        words = ["./run.sh", *options, "--test_sets", "dev", "--controls", "false", "--score_metrics", "log_mel_l1"]
        return place, [*words, "--nj", 2, "--cmd"]

    return call


def weights(path):
    """Return what a checkpoint has, by name."""
    return torch.load(path, weights_only=True)


@pytest.mark.slow
def test_a_mix_is_curated_sharded_trained_on_and_scored_in_one_call_with_a_task_killed_in_each_stage(
    lay_out_mix, cluster
):
    """The training is requeued, as where it is preempted; it goes on with the step that would have come next."""
    for package, extra in (("pyloudnorm", "curate"), ("auraloss", "score")):
        pytest.importorskip(package, reason=f"the extra '{extra}' is not installed")
    (place, words), (other, _) = lay_out_mix("hifitts2/voc1"), lay_out_mix("hifi16kh_playerfm20kh/voc1")
    options = ["--shard_size", 2 * 2 * RATE / 1e6, "--stage", 2, "--stop_stage", 5]
    exp = Path("exp/voc_few")
    killed = ["dump/curated/speech/log/curate", "dump/speech/log/shard", "dump/dev/log/format"]
    killed_after = [exp / "synth/dev/log/synth", exp / "scores/dev/log/score"]
    with start(other, cluster, *words, "local", *options) as unbroken:
        with start(place, cluster, *words, "slurm", *options) as process:
            for work in killed:
                cluster.call("scancel", "--signal=KILL", "--full", started(place / f"{work}.1.log")[0])
            wait_for((place / exp / "checkpoint.pth").exists, "an epoch", 600)
            cluster.call("scontrol", "requeue", started(place / exp / "train.log")[0])
            for work in killed_after:
                cluster.call("scancel", "--signal=KILL", "--full", started(place / f"{work}.1.log")[0])
            errors = process.stderr.read()
        assert process.returncode == 0, errors
        said = unbroken.stderr.read()
    assert unbroken.returncode == 0, said
    assert errors.count("1 of 2 jobs failed (1): retry 1 of 1") == len(killed) + len(killed_after)
    log = (place / exp / "train.log").read_text()
    assert " 1/6epoch started" not in log and " 6/6epoch started" in log, "it did not go on where it was"
    assert (place / "dump/speech/000001.tar").is_file()
    made, wanted = contents(place), contents(other)
    prepared = re.compile(r"dump/|exp/voc_few/(synth|scores)/")
    assert {name: made[name] for name in filter(prepared.match, made)} == {
        name: wanted[name] for name in filter(prepared.match, wanted)
    }
    assert {"exp/voc_few/scores/dev/scores.json", "dump/speech/index.tsv"} <= made.keys()
    for name, value in weights(other / exp / "latest.pth").items():
        assert torch.equal(weights(place / exp / "latest.pth")[name], value), name


@pytest.mark.slow
def test_a_training_on_two_nodes_goes_on_with_one_when_the_other_dies(lay_out_mix, networked_cluster):
    """A process on each node, over gloo, then one alone with two loading workers: what one undisturbed one learns."""
    cluster = networked_cluster
    (place, words), (other, _) = lay_out_mix("hifitts2/voc1"), lay_out_mix("hifi16kh_playerfm20kh/voc1")
    for folder in (place, other):
        (folder / "dump").symlink_to("data")
    options = ["--stage", 3, "--stop_stage", 3]
    exp = Path("exp/voc_few")
    with start(other, cluster, *words, "local", *options) as process:
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    with start(place, cluster, *words, "slurm", *options, "--num_nodes", 2) as process:
        wait_for((place / exp / "checkpoint.pth").exists, "an epoch", 600)
        job, _ = started(place / exp / "train.log")
        for state in ("drain", "down"):  # drained, so that the node, which is well, is not used when it registers anew
            cluster.call("scontrol", "update", "nodename=node2", f"state={state}", "reason=test")
        wait_for(lambda: cluster.call("squeue", "-ho", "%T") == "PENDING\n", "what is left of the job")
        log = (place / exp / "train.log").read_text()
        cluster.call("scancel", job)
        errors = process.stderr.read()
    assert (process.returncode, "job 1 failed (CANCELLED)" in errors) == (1, True), errors
    assert ":0/2]" in log, "two processes"
    assert not list((place / exp).glob("6epoch.pth")), "it is not at its end"
    workers = ["--train_args", "--num_workers 2"]
    with start(place, cluster, *words, "slurm", *options, *workers) as process:
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    assert " 1/6epoch started" not in (place / exp / "train.log").read_text(), "it did not go on where it was"
    # Sums over processes are rounded otherwise, and the optimizer makes more of it; other items would make much more.
    losses = [
        [epoch["train"]["mel"] for epoch in weights(folder / exp / "checkpoint.pth")["reporter"]["stats"].values()]
        for folder in (place, other)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=2e-3) and len(losses[0]) == 6
    first, found, wanted = (
        torch.cat([value.double().flatten() for value in weights(path).values()])
        for path in (min((place / exp).glob("*epoch.pth")), place / exp / "latest.pth", other / exp / "latest.pth")
    )
    assert (found - wanted).abs().mean() < 0.05 * (wanted - first).abs().mean()


def contents(place):
    """Return what the stages made, without logs, journals, and what holds times."""
    timed = re.compile(r"/log/|/q/|\.jsonl$|/\.|comparison\.|report\.html$|RESULTS\.md$|\.png$")
    files = (path for top in ("dump", "exp") for path in (place / top).rglob("*") if path.is_file())
    return {name: path.read_bytes() for path in files if not timed.search(f"/{(name := str(path.relative_to(place)))}")}
