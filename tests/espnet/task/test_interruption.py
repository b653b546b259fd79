"""A training that is stopped inside an epoch goes on as if it had not been: real runs and real signals."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evagan_plugin.training.gan import GANVocoder

CONFIG = {"max_epoch": 2, "keep_nbest_models": [1, 2], "keep_steps": 4, "num_att_plot": 0}
"""Epochs have 6 batches."""
Train = Callable[..., Path]


@pytest.fixture(scope="module")
def unbroken(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiment of two epochs without an interruption."""
    return train(tmp_path_factory.mktemp("exp") / "unbroken", CONFIG)


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Let something happen in the middle of a training step, or of one of the validation; returns those taken."""
    take_step = GANVocoder.generator_step

    def arrange(step: int, event: Callable[[], None], training: bool = True) -> list[int]:
        taken: list[int] = []

        def counted(self: GANVocoder, *data: torch.Tensor, **options: object):
            if self.training is training:
                taken.append(len(taken) + 1)
                if taken[-1] == step:
                    event()
            return take_step(self, *data, **options)

        monkeypatch.setattr(GANVocoder, "generator_step", counted)
        return taken

    return arrange


def crash() -> None:
    raise ZeroDivisionError("a fault")


def state(path: Path) -> dict:
    return torch.load(path, map_location="cpu", weights_only=True)


@pytest.mark.parametrize(
    ("step", "event", "status", "place"),
    [
        (9, signal.SIGTERM, 143, (2, 3)),
        (1, signal.SIGINT, 130, (1, 1)),
        (12, signal.SIGTERM, 143, (2, 6)),
        (11, None, None, (2, 2)),  # of 8 steps, the last that was kept
    ],
    ids=["SIGTERM", "first step", "last step", "crash"],
)
def test_it_goes_on_where_it_was_stopped(
    unbroken: Path, train: Train, at_step: Callable, capfd, tmp_path: Path,
    step: int, event: int | None, status: int | None, place: tuple[int, int],
):  # fmt: skip
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    at_step(step, crash if event is None else lambda: signal.raise_signal(event))
    with pytest.raises(ZeroDivisionError if event is None else SystemExit) as ended:
        train(tmp_path / "exp", CONFIG)
    if event is not None:
        assert ended.value.code == status
        told = f"stopped at epoch {place[0]}, batch {place[1]} of 6, and saved: the same command goes on from there"
        assert told in capfd.readouterr().err
    inside = state(tmp_path / "exp" / "checkpoint.pth")["inside_epoch"]
    assert (inside["epoch"], inside["done"]) == place
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers

    at_step(0, crash)  # never
    train(tmp_path / "exp", CONFIG)
    assert_same(tmp_path / "exp", unbroken)


def assert_same(resumed: Path, unbroken: Path) -> None:
    names = ["checkpoint.pth", "1epoch.pth", "2epoch.pth", "valid.mel.ave_2best.pth"]
    for name in [*names, *(f"{steps}steps.pth" for steps in (4, 8, 12))]:
        ours, theirs = state(resumed / name), state(unbroken / name)
        ours, theirs = ours.get("model", ours), theirs.get("model", theirs)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(value, ours[key]) for key, value in theirs.items()), name
    logs = [state(folder / "checkpoint.pth")["reporter"]["stats"] for folder in (resumed, unbroken)]
    for epoch in (1, 2):
        for part in ("train", "valid"):
            for key in ("mel", "disc_loss", "total_count"):
                ours, theirs = (log[epoch][part][key] for log in logs)
                assert ours == pytest.approx(theirs), (epoch, part, key)


@pytest.mark.parametrize(("epoch", "workers"), [(1, 0), (2, 1)])
def test_a_validation_ends_within_a_batch_and_is_repeated(
    train: Train, at_step: Callable, capfd, tmp_path: Path, epoch: int, workers: int
):
    config = CONFIG | {"valid_batch_size": 1, "num_workers": workers}  # two batches
    unbroken = train(tmp_path / "unbroken", config)

    def stop() -> None:
        for worker in torch.multiprocessing.active_children():  # SLURM signals all processes
            os.kill(worker.pid, signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    first = 2 * epoch - 1
    taken = at_step(first, stop, training=False)
    with pytest.raises(SystemExit) as ended:
        train(tmp_path / "exp", config)
    assert ended.value.code == 143
    told = f"stopped at epoch {epoch}, in its validation, and saved: the same command repeats that and goes on"
    assert told in capfd.readouterr().err
    assert len(taken) == first  # and no second batch
    inside = state(tmp_path / "exp" / "checkpoint.pth")["inside_epoch"]
    assert (inside["epoch"], inside["done"]) == (epoch, 6)

    at_step(0, crash)  # never
    train(tmp_path / "exp", config)
    assert_same(tmp_path / "exp", unbroken)


def test_a_mix_goes_on_with_other_workers_as_if_it_had_not_stopped(
    mix: Path, train: Train, at_step: Callable, tmp_path: Path
):
    config = CONFIG | {"vocoder_conf": {"training": {"gain_db": [-6, 3]}}}
    train(tmp_path / "unbroken", config, train=mix)
    at_step(9, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit):
        train(tmp_path / "exp", config, train=mix)
    inside = state(tmp_path / "exp" / "checkpoint.pth")["inside_epoch"]
    assert (inside["epoch"], inside["done"], inside["of"]) == (2, 3, 6)
    at_step(0, crash)  # never
    train(tmp_path / "exp", config | {"num_workers": 1}, train=mix)
    ours, theirs = (state(tmp_path / name / "12steps.pth") for name in ("exp", "unbroken"))
    assert all(torch.equal(value, ours[key]) for key, value in theirs.items())


def test_another_number_of_batches_begins_the_epoch_anew(train: Train, at_step: Callable, tmp_path: Path):
    at_step(3, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit):
        train(tmp_path / "exp", CONFIG)
    train(tmp_path / "exp", CONFIG | {"num_iters_per_epoch": 2, "max_epoch": 1})
    assert state(tmp_path / "exp" / "checkpoint.pth")["reporter"]["stats"][1]["train"]["total_count"] == 2


PROGRAM = """
import os, signal, sys
from evagan_plugin.espnet.task.task import VocoderTask
from evagan_plugin.training.gan import GANVocoder

take_step, steps = GANVocoder.generator_step, 0

def counted(self, *data, **options):
    global steps
    steps += self.training
    if self.training and steps == 2 and os.environ["RANK"] == "1":
        signal.raise_signal(signal.SIGTERM)
    return take_step(self, *data, **options)

GANVocoder.generator_step = counted
VocoderTask.main()
"""


def test_of_two_processes_one_is_asked_and_both_end_after_one_has_saved(command: Callable, tmp_path: Path):
    (tmp_path / "program.py").write_text(PROGRAM)
    line = command(tmp_path / "exp", CONFIG | {"dist_backend": "gloo"})
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher, str(tmp_path / "program.py"), *line],
        env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stderr.count("stopped at epoch 1, batch 2 of 6, and saved") == 1, done.stderr[-3000:]
    assert "exitcode  : 143" in done.stderr  # as torchrun lists it
    inside = state(tmp_path / "exp" / "checkpoint.pth")["inside_epoch"]
    assert (inside["epoch"], inside["done"], len(inside["random"])) == (1, 2, 2)
    assert not list((tmp_path / "exp").glob("*epoch.pth"))
