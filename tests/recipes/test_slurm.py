"""Jobs on a real SLURM of two nodes on this machine: slurm.pl, and the parts of a stage."""

import os
import re
import signal

import pytest
from slurm_cluster import start, started, wait_for


@pytest.fixture
def utils(egs):
    return egs / "TEMPLATE" / "voc1" / "utils"


@pytest.fixture
def slurm(utils, run, tmp_path, cluster):
    """Return a function that calls slurm.pl in a scratch directory."""
    return lambda *words: run(tmp_path, utils / "slurm.pl", *words, **cluster.environment)


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
