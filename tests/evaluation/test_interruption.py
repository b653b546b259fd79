"""Runs of ``evagan score`` that are stopped from outside: what is kept, and that nothing is left running."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from metric_signals import make_voice, with_noise, write_corpus

from evagan_plugin.errors import EvaganError
from evagan_plugin.utils.processes import in_processes

UTTERANCES = 400
PATIENCE = 120.0
"""Seconds until a run that does not move is given up."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen]]:
    """Return a function that starts the same run of minutes, in a process group of its own, once more."""
    voice = make_voice()
    folder = write_corpus(tmp_path / "audio", {"voice": voice, "noisy": with_noise(voice, 20)})
    for name, file in {"reference": "voice", "noisy": "noisy"}.items():
        (tmp_path / name).mkdir()
        lines = [f"utt{index:03} {folder}/{file}.wav\n" for index in range(UTTERANCES)]
        (tmp_path / name / "wav.scp").write_text("".join(lines))
    arguments = ["score", "reference", "noisy", "--metrics", "pesq_wb", "--out", "out", "--nj", "2"]
    program = f"import sys; sys.argv = ['evagan', *{arguments}]; from evagan_plugin.cli import main; main()"
    started = []

    def run() -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=tmp_path, process_group=0, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.01)


def children(process: subprocess.Popen) -> list[int]:
    """Return the processes that a process has started."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system has no /proc")
def test_stopped_runs_go_on_and_leave_nothing_behind(start: Callable[[], subprocess.Popen], tmp_path: Path):
    journal = tmp_path / "out" / "utterances.jsonl"

    def lines() -> int:
        return journal.read_text().count("\n") if journal.exists() else 0

    killed = start()
    wait_until(lambda: lines() >= 2)
    workers = children(killed)
    assert len(workers) >= 2
    killed.kill()
    killed.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    kept = lines()

    interrupted = start()
    wait_until(lambda: lines() >= kept + 2)
    os.killpg(interrupted.pid, signal.SIGINT)  # as Ctrl-C does: to every process
    assert interrupted.wait(PATIENCE) == 130
    assert interrupted.stderr.read().splitlines()[-1] == "evagan: interrupted"

    ids = [json.loads(line)["utt_id"] for line in journal.read_text().splitlines()]
    assert kept + 2 <= len(ids) == len(set(ids)) < UTTERANCES, "no utterance twice, and never the whole"


def test_what_is_in_the_works_is_not_waited_for():
    results = in_processes(time.sleep, [0, 10 * PATIENCE, 10 * PATIENCE], 2)
    assert next(results) == (0, None)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < PATIENCE
    assert not multiprocessing.active_children()


def test_a_process_that_dies_is_one_error():
    with pytest.raises(EvaganError, match="a scoring process died"):
        list(in_processes(os._exit, [3], 1))


def test_an_item_that_crashes_native_code_costs_itself_only():
    harmless = [signal.SIGCHLD, signal.SIGCONT, signal.SIGWINCH, signal.SIGURG]
    items = [*harmless[:1], signal.SIGSEGV, *harmless[1:], signal.SIGABRT]
    found = dict(in_processes(signal.raise_signal, items, 2, crashed=lambda item, reason: (item, reason)))
    assert found == dict.fromkeys(harmless) | {
        signal.SIGSEGV: (signal.SIGSEGV, "Segmentation fault"),
        signal.SIGABRT: (signal.SIGABRT, "Aborted"),
    }


def test_a_process_that_is_killed_is_no_crash():
    with pytest.raises(EvaganError, match="out of memory"):
        list(in_processes(signal.raise_signal, [signal.SIGKILL], 1, crashed=lambda item, reason: reason))
