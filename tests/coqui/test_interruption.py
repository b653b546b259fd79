"""Coqui's trainer, stopped inside an epoch by real signals, goes on exactly; and no two train in one folder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evagan_plugin.errors import EvaganError
from evagan_plugin.utils.lock import locked

PROGRAM = """
import signal, sys
from evagan_plugin.training.gan import GANVocoder

step, number = map(int, sys.argv[1:3])
del sys.argv[1:3]
take_step, steps = GANVocoder.discriminator_step, 0

def counted(self, *data, **options):
    global steps
    steps += self.training
    if self.training and steps == step:
        signal.raise_signal(number)
    return take_step(self, *data, **options)

GANVocoder.discriminator_step = counted
import torch
from TTS.bin.train_vocoder import main

torch.manual_seed(0)
main()
"""


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, map_location="cpu", weights_only=True)["model"]


@pytest.fixture(scope="module")
def unbroken(settings: Callable, program: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of two epochs of three steps without an interruption."""
    folder = tmp_path_factory.mktemp("unbroken")
    run_program(folder, settings, program, 0, signal.SIGTERM)  # never
    (run,) = (folder / "out").iterdir()
    return run


def run_program(folder: Path, settings: Callable, program: Callable, step: int, number: int):
    """Train by Coqui's own program, which a signal reaches in the middle of a step."""
    (folder / "program.py").write_text(PROGRAM)
    (folder / "config.json").write_text(json.dumps(settings(folder / "out", save_step=100)))
    return program(folder / "program.py", step, int(number), "--config_path", folder / "config.json")


@pytest.mark.parametrize(
    ("step", "number", "place"),
    [
        pytest.param(2, signal.SIGTERM, [0, 2, 2], id="SIGTERM"),
        pytest.param(3, signal.SIGINT, [0, 3, 3], id="Ctrl-C in an epoch's last step", marks=pytest.mark.slow),
        pytest.param(4, signal.SIGTERM, [1, 1, 4], id="SIGTERM in the second epoch", marks=pytest.mark.slow),
    ],
)
def test_it_goes_on_where_it_was_stopped(
    settings, program: Callable, unbroken: Path, tmp_path: Path, step, number, place
):
    stopped = run_program(tmp_path, settings, program, step, number)
    (run,) = (tmp_path / "out").iterdir()
    assert stopped.returncode == 128 + number, stopped.stderr
    told = f"stopped after step {step}, and saved: --continue_path {run} goes on there\n"
    assert stopped.stderr.endswith(told) and "Traceback" not in stopped.stderr
    saved = weights(run / f"checkpoint_{step}.pth")
    assert saved["_extra_state"].tolist() == place

    done = program("-m", "TTS.bin.train_vocoder", "--continue_path", run)
    assert done.returncode == 0, done.stderr
    ours, theirs = weights(run / "checkpoint_6.pth"), weights(unbroken / "checkpoint_6.pth")
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_folder_where_another_trains_is_refused(unbroken: Path, program: Callable):
    with locked(unbroken):
        done = program("-m", "TTS.bin.train_vocoder", "--continue_path", unbroken)
    assert done.returncode == 1
    assert f"{unbroken} is in use by another process" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


WORKER = """
import os, signal, sys
import torch
from trainer import Trainer, TrainerArgs
from TTS.config import load_config
from TTS.vocoder.datasets.preprocess import load_wav_data
from TTS.vocoder.models import setup_model

rank, folder = int(os.environ["RANK"]), sys.argv[1]
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
config = load_config(f"{folder}/config.json")
evaluation, training = load_wav_data(config.data_path, config.eval_split_size)
model = setup_model(config)
take_step, steps = type(model.gan).generator_step, 0

def counted(self, *data, **options):
    global steps
    steps += self.training
    if rank == 1 and steps == 2:
        signal.raise_signal(signal.SIGTERM)
    return take_step(self, *data, **options)

type(model.gan).generator_step = counted
samples = {"train_samples": training, "eval_samples": evaluation, "parse_command_line_args": False}
Trainer(TrainerArgs(rank=rank), config, f"{folder}/{rank}", model=model, **samples).fit()
"""


def test_of_two_processes_one_is_asked_and_both_end_after_one_has_saved(settings, tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(settings(tmp_path, batch_size=1, save_step=100)))
    (tmp_path / "worker.py").write_text(WORKER)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    line = [sys.executable, "-W", "ignore", str(tmp_path / "worker.py"), str(tmp_path)]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(line, env=environment | {"RANK": str(rank)}, **pipes) for rank in range(2)]
    for worker in workers:
        _, errors = worker.communicate(timeout=300)
        assert worker.returncode == 128 + signal.SIGTERM, errors
    saved = list(tmp_path.rglob("checkpoint_*.pth"))
    assert [path.name for path in saved] == ["checkpoint_2.pth"]
    assert weights(saved[0])["_extra_state"].tolist() == [0, 2, 2]


def test_the_lock_ends_with_the_process(tmp_path: Path):
    holder = f"from evagan_plugin.utils.lock import locked\nimport time\nwith locked({str(tmp_path)!r}):\n    "
    process = subprocess.Popen([sys.executable, "-c", holder + "print(flush=True); time.sleep(600)"], stdout=-1)
    process.stdout.readline()
    with pytest.raises(EvaganError, match="in use by another process"), locked(tmp_path, 0.1):
        pass
    process.kill()
    process.wait()
    started = time.monotonic()
    with locked(tmp_path, 10):
        assert time.monotonic() - started < 10
