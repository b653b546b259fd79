"""Jobs on a real SLURM of two nodes on this machine: slurm.pl, the parts of a stage, and a recipe with killed tasks."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from mixes import FEW_STEPS, RATE, write_configs
from slurm_cluster import wait_for

from evagan_plugin.data.kaldi import write_table

JOB = re.compile(r"# Job (\d+_\d+) on (node\d)")


@pytest.fixture
def utils(egs):
    return egs / "TEMPLATE" / "voc1" / "utils"


@pytest.fixture
def slurm(utils, run, tmp_path, cluster):
    """Return a function that calls slurm.pl in a scratch directory."""
    return lambda *words: run(tmp_path, utils / "slurm.pl", *words, **cluster.environment)


@contextmanager
def start(directory, cluster, *words):
    """Start a command that ends in the block; where the block fails, it is interrupted."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **cluster.environment}
    words = [str(word) for word in words]
    process = subprocess.Popen(words, cwd=directory, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
        process.wait()
    finally:
        process.terminate()
        process.communicate()


def started(log):
    """Return job and node of a log, as soon as it tells."""
    return wait_for(lambda: log.exists() and JOB.search(log.read_text()), f"the start of {log}", 300).groups()


def test_an_array_gets_its_resources_and_names_what_failed(slurm, tmp_path):
    script = '[ "$1" != 3 ] || exit 5; echo "$2 $1 ${SLURM_CPUS_PER_TASK} ${SLURM_MEM_PER_NODE} ${SLURM_GPUS_ON_NODE}"'
    words = ["--gpu", 1, "--mem", "4G", "--num-threads", 3, "--max-jobs-run", 2, "--time", "1:00:00"]
    done = slurm(*words, "JOB=1,3:4", "log/a 100%.JOB.log", "bash", "-c", script, "x", "JOB", "two  words")
    assert done.returncode == 1
    assert "job 3 failed (FAILED), log is in log/a 100%.3.log: (nothing in it)" in done.stderr
    assert "1 of 3 jobs failed" in done.stderr
    assert "two  words 4 3 4096 1" in (tmp_path / "log/a 100%.4.log").read_text().splitlines()
    assert not (tmp_path / "log/a 100%.2.log").exists()
    one = slurm("log/b.log", "echo", "fine", "|", "cat")
    assert (one.returncode, "fine" in (tmp_path / "log/b.log").read_text()) == (0, True), one.stderr


def test_failed_jobs_alone_are_tried_again(slurm, tmp_path):
    script = 'echo x >> "$1.runs"; [ "$1" = 1 ] || [ "$(wc -l < "$1.runs")" -gt 1 ]'
    done = slurm("--retries", 1, "JOB=1:3", "log.JOB", "bash", "-c", script, "x", "JOB")
    assert done.returncode == 0, done.stderr
    assert "2 of 3 jobs failed (2 3): retry 1 of 1" in done.stderr
    assert [(tmp_path / f"{job}.runs").read_text().count("x") for job in (1, 2, 3)] == [1, 2, 2]


def test_cancelled_and_killed_jobs_are_said_so(utils, cluster, tmp_path):
    words = ["JOB=1:3", "log.JOB", "bash", "-c", '[ "$1" = 3 ] || { echo $$ >"$1.pid"; sleep 600; }', "x", "JOB"]
    with start(tmp_path, cluster, utils / "slurm.pl", *words) as process:
        cluster.call("scancel", started(tmp_path / "log.1")[0])
        pid = wait_for(lambda: (tmp_path / "2.pid").exists() and (tmp_path / "2.pid").read_text(), "the process")
        os.kill(int(pid), signal.SIGKILL)
        errors = process.stderr.read()
    assert process.returncode == 1
    assert re.search(r"job 1 failed \(CANCELLED\), log is in log\.1: .*CANCELLED", errors), errors
    assert "job 2 failed (FAILED), log is in log.2" in errors
    assert "2 of 3 jobs failed" in errors
    assert "# Ended (code 137)" in (tmp_path / "log.2").read_text()


def test_an_interrupt_cancels_the_array(utils, cluster, tmp_path):
    with start(tmp_path, cluster, utils / "slurm.pl", "log", "sleep", "600") as process:
        started(tmp_path / "log")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 130
    wait_for(lambda: not cluster.call("squeue", "-h"), "an empty queue")


def test_a_controller_that_is_away_is_waited_for(utils, cluster, tmp_path):
    with start(
        tmp_path, cluster, utils / "slurm.pl", "log", "bash", "-c", "until [ -e go ]; do sleep 0.1; done"
    ) as process:
        started(tmp_path / "log")
        cluster.stop("slurmctld")
        (tmp_path / "go").touch()
        said = process.stderr.readline() + process.stderr.readline()
        cluster.start_controller()
        errors = said + process.stderr.read()
    assert process.returncode == 0, errors
    assert "Unable to contact slurm controller" in errors


def test_the_job_of_a_node_that_dies_goes_on_with_another(utils, cluster, tmp_path):
    words = ["log", "bash", "-c", "echo ${SLURMD_NODENAME} >> nodes; until [ -e go ]; do sleep 0.1; done"]
    with start(tmp_path, cluster, utils / "slurm.pl", *words) as process:
        _, node = started(tmp_path / "log")
        for state in ("drain", "down"):  # drained, so that the node, which is well, is not used when it registers anew
            cluster.call("scontrol", "update", f"nodename={node}", f"state={state}", "reason=test")
        other = ({"node1", "node2"} - {node}).pop()
        wait_for(lambda: (tmp_path / "nodes").read_text() == f"{node}\n{other}\n", "the job on the other node")
        cluster.call("scontrol", "update", f"nodename={node}", "state=resume")
        (tmp_path / "go").touch()
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    assert errors.count("\n") == 1, "nothing has failed"


def test_a_job_of_two_nodes_reaches_both(slurm, tmp_path):
    done = slurm("--num-nodes", 2, "--num-threads", 2, "log", "srun", "bash", "-c", "echo ${SLURMD_NODENAME} >> nodes")
    assert done.returncode == 0, done.stderr
    assert sorted((tmp_path / "nodes").read_text().split()) == ["node1", "node2"]


def test_of_a_stage_only_what_is_unfinished_is_run_again_and_the_bytes_are_those_of_run_pl(
    utils, run, cluster, tmp_path
):
    """A stage of four parts: one fails, one is cancelled; its input changes."""
    script = tmp_path / "part.sh"
    script.write_text(
        'set -eu; k=${2%/*}; [ "$k" != 2 ] || [ -e mended ]; [ "$k" != 3 ] || [ -e mended ] || sleep 600\n'
    )
    with script.open("a") as stream:
        stream.write('echo x >> "runs.$k"; mkdir -p out; awk -v k="$k" "NR % 4 == k % 4" table > "out/$k"\n')
    stage = f'''set -euo pipefail; cd "$1"; export PATH="{utils}:$PATH"; . stages.sh; nj=4; tool=("$2" --retries 0)
        count_parts table; in_parts tool log/work "$(contents_of table)" bash ../part.sh'''
    words = {}
    for tool in ("run.pl", "slurm.pl"):
        (tmp_path / tool).mkdir()
        (tmp_path / tool / "table").write_text("".join(f"utterance-{number}\n" for number in range(10)))
        words[tool] = ["bash", "-c", stage, "voc.sh", tmp_path / tool, tool]
    (tmp_path / "run.pl" / "mended").touch()
    assert run(tmp_path, *words["run.pl"]).returncode == 0
    place = tmp_path / "slurm.pl"
    with start(tmp_path, cluster, *words["slurm.pl"]) as process:
        cluster.call("scancel", started(place / "log" / "work.3.log")[0])
        errors = process.stderr.read()
    assert process.returncode == 1
    assert "job 2 failed (FAILED), log is in log/work.2.log" in errors
    assert "job 3 failed (CANCELLED), log is in log/work.3.log" in errors
    assert "not all parts are done, see above for logs" in errors
    (place / "mended").touch()
    again = run(tmp_path, *words["slurm.pl"], **cluster.environment)
    assert again.returncode == 0, again.stderr
    assert "log/work: 2 of 4 parts are left" in again.stderr
    runs = [place / f"runs.{part}" for part in (1, 2, 3, 4)]
    assert [path.read_text() for path in runs] == ["x\n"] * 4
    for part in "1234":
        assert (place / "out" / part).read_bytes() == (tmp_path / "run.pl" / "out" / part).read_bytes()
    assert run(tmp_path, *words["slurm.pl"], **cluster.environment).stderr == ""
    (place / "table").write_text("other\n" * 10)
    assert run(tmp_path, *words["slurm.pl"], **cluster.environment).returncode == 0
    assert [path.read_text() for path in runs] == ["x\nx\n"] * 4


@pytest.mark.slow
def test_a_job_that_hangs_is_ended_by_its_time_limit(slurm, tmp_path):
    """SLURM counts in minutes."""
    done = slurm("--time", "1", "JOB=1:2", "log.JOB", "bash", "-c", '[ "$1" = 2 ] || sleep 600', "x", "JOB")
    assert done.returncode == 1
    assert re.search(r"job 1 failed \(TIMEOUT\), log is in log\.1: .*DUE TO TIME LIMIT", done.stderr), done.stderr
    assert "1 of 2 jobs failed" in done.stderr


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
def test_a_training_on_two_nodes_goes_on_with_one_when_the_other_dies(lay_out_mix, cluster):
    """Two processes, one on each node, over gloo; then one with two loading workers: what one process alone learns."""
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
    cluster.call("scontrol", "update", "nodename=node2", "state=resume")
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
