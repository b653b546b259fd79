"""The shell tools of the recipes: Kaldi's calling form of run.pl and slurm.pl, and the option parser."""

import signal
import subprocess
import time

import pytest
import yaml

from evagan_plugin.data.kaldi import DataDir


@pytest.fixture
def utils(egs):
    return egs / "TEMPLATE" / "voc1" / "utils"


def test_jobs_get_their_number_and_their_log(utils, run, tmp_path):
    done = run(tmp_path, utils / "run.pl", "JOB=1:3", "log/a.JOB.log", "echo", "part JOB", "of  3")
    assert done.returncode == 0, done.stderr
    for job in (1, 2, 3):
        lines = (tmp_path / f"log/a.{job}.log").read_text().splitlines()
        assert lines[0].startswith("# echo")
        assert f"part {job} of  3" in lines
        assert lines[-1].startswith("# Ended (code 0)")


def test_one_failed_job_fails_the_call_but_not_the_others(utils, run, tmp_path):
    script = 'if [ "$1" = 2 ]; then echo "no such thing" >&2; exit 7; fi; touch "done.$1"'
    done = run(tmp_path, utils / "run.pl", "JOB=1:3", "a.JOB.log", "bash", "-c", script, "x", "JOB")
    assert done.returncode == 1
    assert "job 2 failed (status 7), log is in a.2.log: no such thing" in done.stderr
    assert "1 of 3 jobs failed" in done.stderr
    assert (tmp_path / "done.1").exists()
    assert (tmp_path / "done.3").exists()
    assert "# Ended (code 7)" in (tmp_path / "a.2.log").read_text()


def test_words_reach_the_command_as_they_are_and_operators_work(utils, run, tmp_path):
    words = ["a b", "$HOME", "`date`", "it's", '"quoted"', "*", "(x)", ""]
    done = run(tmp_path, utils / "run.pl", "log", "printf", "[%s]", *words, ">", "words.txt", "&&", "echo", "over")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "words.txt").read_text() == "".join(f"[{word}]" for word in words)
    assert "over" in (tmp_path / "log").read_text()


def test_failure_inside_a_pipe_is_a_failure(utils, run, tmp_path):
    assert run(tmp_path, utils / "run.pl", "log", "false", "|", "cat").returncode == 1


def test_jobs_wait_for_a_free_place(utils, run, tmp_path):
    script = 'touch "run.$1"; ls run.* | wc -l >> most; sleep 1; rm "run.$1"'
    done = run(tmp_path, utils / "run.pl", "--max-jobs-run", 2, "J=1:5", "log.J", "bash", "-c", script, "x", "J")
    assert done.returncode == 0, done.stderr
    counts = [int(line) for line in (tmp_path / "most").read_text().split()]
    assert (len(counts), max(counts)) == (5, 2)


def test_jobs_may_be_a_list_and_the_failed_ones_alone_are_tried_again(utils, run, tmp_path):
    script = 'echo x >> "$1.runs"; [ "$1" != 5 ] || [ "$(wc -l < "$1.runs")" -gt 2 ]'
    words = ["J=2,5:6", "log.J", "bash", "-c", script, "x", "J"]
    done = run(tmp_path, utils / "run.pl", "--retries", 2, *words)
    assert done.returncode == 0, done.stderr
    assert "1 of 3 jobs failed (5): retry 2 of 2" in done.stderr
    assert {path.name: path.read_text() for path in tmp_path.glob("*.runs")} == {
        "2.runs": "x\n", "5.runs": "x\nx\nx\n", "6.runs": "x\n",
    }  # fmt: skip


@pytest.mark.parametrize("limit", ["0:1", "0:0:1", "0-0:0:1"])
def test_a_job_that_hangs_is_ended_by_its_time_limit(utils, run, tmp_path, limit):
    script = '[ "$1" = 2 ] || { sleep 60 & echo $! > child; wait; }'
    done = run(tmp_path, utils / "run.pl", "--time", limit, "J=1:2", "log.J", "bash", "-c", script, "x", "J")
    assert done.returncode == 1
    assert f"job 1 failed (time limit {limit}), log is in log.1" in done.stderr
    assert "1 of 2 jobs failed" in done.stderr
    wait_for_end(int((tmp_path / "child").read_text()))


@pytest.mark.parametrize("options", [[], ["--time", "60"]])
def test_interrupt_ends_every_process_of_a_job(utils, tmp_path, options):
    script = "sleep 60 & echo $! > child; wait"
    with subprocess.Popen([utils / "run.pl", *options, "log", "bash", "-c", script], cwd=tmp_path) as process:
        while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text().strip():
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 130
    wait_for_end(int((tmp_path / "child").read_text()))


def wait_for_end(child):
    for _ in range(100):
        if not _runs(child):
            return
        time.sleep(0.05)
    pytest.fail("the child of the job still runs")


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("tool", ["run.pl", "slurm.pl"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "usage:"),
        (["JOB=1:2", "log"], "usage:"),
        (["JOB=3:2", "log.JOB", "true"], "no jobs in JOB=3:2"),
        (["JOB=1:2", "log", "true"], "several jobs need JOB in the name of the log"),
        (["--memory", "1G", "log", "true"], "unknown option --memory; known: --gpu --mem"),
        (["--gpu", "many", "log", "true"], "option --gpu needs a number, not 'many'"),
        (["--retries", "once", "log", "true"], "option --retries needs a number, not 'once'"),
        (["--time", "4h", "log", "true"], "option --time needs minutes, H:M:S or D-H:M:S, not '4h'"),
    ],
)
def test_wrong_calls_are_refused(utils, run, tmp_path, tool, words, said):
    done = run(tmp_path, utils / tool, *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_one_machine_is_one_node(utils, run, tmp_path):
    words = ["log", "touch", "run"]
    done = run(tmp_path, utils / "run.pl", "--num-nodes", 2, *words)
    assert (done.returncode, "--num-nodes 2: jobs run on this machine alone" in done.stderr) == (2, True)
    assert not (tmp_path / "run").exists()
    assert run(tmp_path, utils / "run.pl", "--num-nodes", 1, *words).returncode == 0


SCRIPT = """#!/usr/bin/env bash
# What the script is for.
#
set -euo pipefail
stage=1       # First stage.
name="a b"    # A name.
flag=false    # A flag.
empty=        # Nothing yet.
seeds="0"     # Numbers.
list=()
{forward}
. {utils}/parse_options.sh
later=1
printf '%s|' "${{stage}}" "${{name}}" "${{flag}}" "${{empty}}" "${{forwarded[@]-}}"
"""


@pytest.fixture
def script(utils, tmp_path):
    path = tmp_path / "script.sh"
    path.write_text(SCRIPT.format(utils=utils, forward=""))
    return path


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], "1|a b|false|||"),
        (["--stage", 3, "--flag", "true", "--name", "x  y"], "3|x  y|true|||"),
        (["--name=--stage", "--empty", "*", "--stage=2"], "2|--stage|false|*||"),
        (["--name", ""], "1||false|||"),
        (["--seeds", "1 2"], "1|a b|false|||"),
    ],
)
def test_options_set_the_variables_above_the_parser(script, run, tmp_path, words, values):
    done = run(tmp_path, "bash", script, *words)
    assert (done.returncode, done.stdout) == (0, values), done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stag", 1], "script.sh: unknown option --stag; known: --empty --flag --name --seeds --stage"),
        (["--later", 2], "unknown option --later"),
        (["--PATH", "x"], "unknown option --PATH"),
        (["--stage"], "option --stage needs a value"),
        (["--stage", "x"], "--stage takes a whole number, not 'x'"),
        (["--flag", "yes"], "--flag takes true or false, not 'yes'"),
        (["3"], "unexpected argument '3'"),
    ],
)
def test_wrong_options_are_refused_in_one_line(script, run, tmp_path, words, said):
    done = run(tmp_path, "bash", script, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_is_made_of_the_comments(script, run, tmp_path):
    done = run(tmp_path, "bash", script, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("What the script is for.\n")
    assert "--name             A name. (default: a b)" in done.stdout
    assert "list" not in done.stdout


def test_options_of_another_script_are_passed_on(script, utils, run, tmp_path):
    outer = tmp_path / "outer.sh"
    text = SCRIPT.format(utils=utils, forward=f"forwarded=()\nFORWARD_TO={script}").replace("stage=1  ", "own=5  ")
    outer.write_text(text.replace("${stage}", "${own}"))
    done = run(tmp_path, "bash", outer, "--own", 6, "--stage", 2)
    assert (done.returncode, done.stdout) == (0, "6|a b|false||--stage|2|"), done.stderr
    refused = run(tmp_path, "bash", outer, "--stage", "x")
    assert (refused.returncode, "--stage takes a whole number" in refused.stderr) == (2, True)


def test_a_config_of_differences_is_laid_over_its_base(utils, run, tmp_path):
    base = {"vocoder_conf": {"preset": "eva_gan_mini_16k", "training": {"segment_frames": 64}}, "batch_size": 4}
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
    (tmp_path / "over.yaml").write_text("vocoder: hifigan\nvocoder_conf: {balancer: off, training: {bf16: true}}\n")
    words = ["python", utils / "layer_config.py", "base.yaml", "over.yaml", "exp/train.yaml"]
    assert run(tmp_path, *words).returncode == 0
    assert yaml.safe_load((tmp_path / "exp" / "train.yaml").read_text()) == {
        "vocoder": "hifigan",
        "vocoder_conf": {
            "preset": "eva_gan_mini_16k",
            "training": {"segment_frames": 64, "bf16": True},
            "balancer": False,
        },
        "batch_size": 4,
    }
    written = (tmp_path / "exp" / "train.yaml").stat().st_mtime_ns
    assert run(tmp_path, *words).returncode == 0
    assert (tmp_path / "exp" / "train.yaml").stat().st_mtime_ns == written, "what is the same is not written again"
    (tmp_path / "over.yaml").write_text("- a\n")
    done = run(tmp_path, *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_one_category_is_selected(utils, run, tmp_path):
    categories = {"a": "speech", "b": "sound effects", "c": "speech"}
    DataDir(wav={key: f"{key}.wav" for key in categories}, category=categories).write(tmp_path / "all")
    words = ["python", utils / "select_category.py"]
    assert run(tmp_path, *words, "all", "speech", "some").returncode == 0
    assert DataDir.read(tmp_path / "some").category == {"a": "speech", "c": "speech"}
    done = run(tmp_path, *words, "all", "speach", "none")
    assert (done.returncode, "no utterance of category 'speach': did you mean 'speech'?" in done.stderr) == (2, True)
    (tmp_path / "all" / "utt2kind").unlink()
    done = run(tmp_path, *words, "all", "speech", "none")
    assert (done.returncode, "no utt2kind in it" in done.stderr) == (2, True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("then", "status"),
    [
        ("true", 0),
        ("touch -d '1 minute' in", 1),
        ("how=otherwise", 1),
        ("rm out/.made_by", 1),
        ("touch -d '1 minute ago' in other", 0),
    ],
)
def test_output_is_made_again_for_newer_input_and_for_another_way(utils, run, tmp_path, then, status):
    script = f'''set -eu; . "{utils}/stages.sh"; nj=2 how="model a --option"
        printf '%s\\n' 1 2 3 >in; touch -d '1 minute ago' in other
        deal in out; [ "${{jobs}}" = 2 ]; cat out/log/part.1.scp; note_made out "${{how}}"
        {then}; is_made out "${{how}}" in other'''
    done = run(tmp_path, "bash", "-c", script)
    assert done.returncode == status, done.stderr
    assert done.stdout.split() == ["1", "3"]


STAGE = """set -euo pipefail; . "{utils}/stages.sh"; nj=20
recorded() {{ echo "$*"; [[ $1 != --num-threads ]] || {{ mkdir -p "$(dirname "$3")"; echo "# said" >"$3"; }}; }}
data_cmd=(recorded)
{call}
"""


@pytest.mark.parametrize(
    ("call", "command", "log", "joined_with"),
    [
        (
            "curate in out rules --against other",
            "evagan curate in out --rules rules",
            "out/log/curate",
            "--against other",
        ),
        ("format in out --sample-rate 16000", "evagan format in out --sample-rate 16000", "out/log/format", ""),
        ("shard in out --shard-size 2", "evagan shard in out --shard-size 2", "out/log/shard", ""),
    ],
)
def test_data_are_worked_on_in_parts_and_the_joining_job_has_cores_for_its_processes(
    utils, run, tmp_path, call, command, log, joined_with
):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "wav.scp").write_text("".join(f"{number} {number}.wav\n" for number in range(18)))
    done = run(tmp_path, "bash", "-c", STAGE.format(utils=utils, call=call))
    assert done.returncode == 0, done.stderr
    parts, joining = done.stdout.splitlines()
    assert parts == f"JOB=1:18 {log}.JOB.log {command} --part JOB/18 && touch {log}.JOB.done"
    assert joining == f"--num-threads 16 {log}.log {command} --nj 16 {joined_with}".rstrip()


@pytest.mark.parametrize(
    ("then", "changed"),
    [
        ("true", False),
        ("echo card >model/README.md", False),
        ("echo b >model/config.yaml", True),
        ("touch -d '1 minute ago' model/weights", True),
    ],
)
def test_the_state_of_a_model_directory_is_that_of_its_files(utils, run, tmp_path, then, changed):
    script = f'''set -eu; . "{utils}/stages.sh"; mkdir model; touch model/weights model/config.yaml; ln -s model link
        before=$(state_of link); {then}; [ "${{before}}" = "$(state_of link)" ] || echo changed'''
    done = run(tmp_path, "bash", "-c", script)
    assert (done.returncode, done.stdout) == (0, "changed\n" * changed), done.stderr
