"""The vocoder task on ESPnet's trainer: real runs of a tiny model on real speech."""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from espnet2.gan_tts.hifigan import HiFiGANGenerator
from espnet2.torch_utils.safe_torch_load import safe_torch_load
from espnet2.train.distributed_utils import DistributedOption, free_port, resolve_distributed_mode
from espnet2.utils.build_dataclass import build_dataclass
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_models import ALL_ON, VOCOS

from evagan_plugin import EVAGANVocoder
from evagan_plugin.audio.mel import MelSpectrogram
from evagan_plugin.cli.info import info
from evagan_plugin.config import build_config
from evagan_plugin.errors import UsageError
from evagan_plugin.espnet.task.task import VocoderTask

TRAIN = [sys.executable, "-m", "evagan_plugin.espnet.bin.vocoder_train"]
# The discriminators start in the epoch that is broken off.
LATE = ALL_ON | {"discriminator_start_steps": 8}
EPOCHS = {"max_epoch": 3, "keep_nbest_models": [2, 3], "vocoder_conf": {"training": LATE}}
HIFIGAN = {
    "vocoder": "hifigan",
    "vocoder_conf": {"generator": {"context": "none", "activation": "leaky_relu"}, "training": {"ema": 0.9}},
}
VOCOS_TASK = {"vocoder": "vocos", "vocoder_conf": VOCOS | {"training": {"ema": 0.9}}}
Train = Callable[..., Path]


@pytest.fixture(scope="module")
def unbroken(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiment of three epochs in one process."""
    return train(tmp_path_factory.mktemp("exp") / "unbroken", EPOCHS)


@pytest.fixture(scope="module")
def hifigan(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiment of the baseline with pictures and audio."""
    return train(tmp_path_factory.mktemp("exp") / "hifigan", HIFIGAN | {"use_matplotlib": True, "num_att_plot": 1})


@pytest.fixture(scope="module")
def vocos(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiment of Vocos: an epoch, then a second one after a restart."""
    pytest.importorskip("vocos", reason="the extra 'vocos' is not installed")
    experiment = tmp_path_factory.mktemp("exp") / "vocos"
    train(experiment, VOCOS_TASK)
    return train(experiment, VOCOS_TASK | {"max_epoch": 2})


def weights(path: Path) -> dict[str, torch.Tensor]:
    state = safe_torch_load(path, map_location="cpu")
    return state.get("model", state)


def one_thread() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def test_training_learns_and_leaves_what_espnet_leaves(unbroken: Path):
    reporter = safe_torch_load(unbroken / "checkpoint.pth")["reporter"]["stats"]
    assert reporter[3]["train"]["mel"] < reporter[1]["train"]["mel"]
    assert reporter[3]["valid"]["mel"] < reporter[1]["valid"]["mel"]
    assert reporter[3]["train"]["optim0_lr0"] == pytest.approx(1e-3 * 0.999**2)
    for name in ("1epoch.pth", "latest.pth", "valid.mel.best.pth", "valid.mel.ave_2best.pth", "valid.mel.ave.pth"):
        assert (unbroken / name).exists(), name


def test_averaging_is_the_mean_of_the_best(unbroken: Path):
    best = [weights(unbroken / f"{epoch}epoch.pth") for epoch in (2, 3)]
    for name, value in weights(unbroken / "valid.mel.ave_2best.pth").items():
        torch.testing.assert_close(value, (best[0][name] + best[1][name]) / 2, msg=name)


@pytest.mark.parametrize("vocoder", ["unbroken", "hifigan", "vocos"])
def test_synthesis_from_the_checkpoint_is_the_models_own(vocoder: str, an4: Path, request: pytest.FixtureRequest):
    weights = request.getfixturevalue(vocoder) / "valid.mel.ave.pth"
    wav, sample_rate = soundfile.read(an4 / "valid" / "cen8-fcaw-b.wav", dtype="float32")
    generated = EVAGANVocoder.load(weights).resynthesize(wav, sample_rate)
    assert generated.shape == wav.shape
    model, _ = VocoderTask.build_model_from_file(None, weights)
    whole = torch.from_numpy(wav[: len(wav) // 256 * 256]).unsqueeze(0)
    expected = model.eval().synthesize(whole)[0]
    # The ends are padded otherwise.
    torch.testing.assert_close(generated[4096:-8192], expected[4096 : len(wav) - 8192], atol=1e-6, rtol=1e-4)


def test_the_config_of_an_experiment_makes_the_same_vocoder(unbroken: Path):
    settings = yaml.safe_load((unbroken / "config.yaml").read_text())
    assert "preset" not in settings["vocoder_conf"] and settings["optim_conf"]["betas"] == [0.8, 0.99]
    assert build_config(settings["vocoder_conf"]).generator.channels == 64


def test_resuming_after_a_kill_gives_the_weights_of_the_unbroken_run(
    unbroken: Path, train: Train, command: Callable, tmp_path: Path
):
    experiment, log = tmp_path / "killed", tmp_path / "log"
    with log.open("w") as stream:
        process = subprocess.Popen([*TRAIN, *command(experiment, EPOCHS)], stderr=stream, env=one_thread())
    try:
        deadline = time.monotonic() + 120
        while "2epoch:train:2-2batch" not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert (experiment / "1epoch.pth").exists() and not (experiment / "2epoch.pth").exists()
    # What a kill between the two files of an epoch, and one while a file is written, leave behind.
    (experiment / "1epoch.pth").unlink()
    (experiment / ".checkpoint.1.part.pth").write_bytes(b"half")

    train(experiment, EPOCHS)
    assert not (experiment / ".checkpoint.1.part.pth").exists()
    for name in ("checkpoint.pth", "1epoch.pth", "2epoch.pth", "3epoch.pth", "valid.mel.ave.pth"):
        resumed = weights(experiment / name)
        for key, value in weights(unbroken / name).items():
            assert torch.equal(value, resumed[key]), f"{name}: {key}"


@pytest.mark.slow
def test_a_training_that_is_killed_at_twenty_random_moments_ends_in_the_same_weights(
    unbroken: Path, train: Train, command: Callable, tmp_path: Path
):
    """`python -m pytest -m slow tests/espnet/task/test_task.py`: five trainings, four kills each."""

    def started(experiment: Path) -> subprocess.Popen:
        """Return a training that has come to its first epoch, or to its end."""
        log = tmp_path / "log"
        with log.open("w") as stream:
            process = subprocess.Popen([*TRAIN, *command(experiment, EPOCHS)], stderr=stream, env=one_thread())
        while "epoch started" not in log.read_text() and process.poll() is None:
            time.sleep(0.01)
        return process

    whole = started(tmp_path / "whole")
    start, draw, broken = time.monotonic(), random.Random(), 0
    assert whole.wait() == 0
    took = time.monotonic() - start
    for number in range(20):
        experiment = tmp_path / f"killed{number // 4}"
        process = started(experiment)
        time.sleep(draw.uniform(0, took / 2))  # half of it, so that the third and the fourth find something to do
        process.kill()
        broken += process.wait() == -signal.SIGKILL
        if number % 4 == 3:
            train(experiment, EPOCHS)
            for name in ("latest.pth", "valid.mel.ave.pth"):
                resumed = weights(experiment / name)
                for key, value in weights(unbroken / name).items():
                    assert torch.equal(value, resumed[key]), f"{experiment / name}: {key}"
    assert broken > 10, "too few were killed before their end"


def test_two_processes_train_the_model_of_one(unbroken: Path, command: Callable, tmp_path: Path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    # Checkpointing, which changes no result, because it and DistributedDataParallel can be in each other's way.
    vocoder = {"generator": {"checkpointing": True}, "training": LATE}
    change = {"dist_backend": "gloo", "vocoder_conf": vocoder}
    line = command(tmp_path / "two", EPOCHS | {"max_epoch": 2} | change)
    done = subprocess.run([*launcher, *TRAIN[1:], *line], env=one_thread(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "0/2" in done.stderr
    two = weights(tmp_path / "two" / "2epoch.pth")
    for name, value in weights(unbroken / "2epoch.pth").items():
        torch.testing.assert_close(
            two[name], value, atol=1e-4, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.slow
def test_workers_are_spawned_as_espnet_does_for_gpus(command: Callable, tmp_path: Path):
    """What ``--multiprocessing_distributed true`` does with one process per GPU, here on CPUs."""
    args = VocoderTask.get_parser().parse_args(command(tmp_path / "exp", {"dist_backend": "gloo"}))
    address = {"dist_master_addr": "localhost", "dist_master_port": free_port(), "dist_world_size": 2}
    workers = []
    for rank in range(2):
        options = vars(args) | address | {"distributed": True, "dist_rank": rank, "local_rank": rank}
        target, given = VocoderTask.main_worker, (argparse.Namespace(**options),)
        workers.append(torch.multiprocessing.get_context("spawn").Process(target=target, args=given))
        workers[-1].start()
    for worker in workers:
        worker.join(timeout=600)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert (tmp_path / "exp" / "valid.mel.best.pth").exists()


def test_a_data_loaders_worker_may_be_spawned(command: Callable, tmp_path: Path):
    args = VocoderTask.get_parser().parse_args(command(tmp_path / "exp", {"num_workers": 1}))
    resolve_distributed_mode(args)
    option = build_dataclass(DistributedOption, args)

    def batches(context: str | None) -> list[torch.Tensor]:
        args.num_workers = int(context is not None)
        loader = VocoderTask.build_iter_factory(args, option, "train").build_iter(1)
        loader.multiprocessing_context = context
        return [batch["wav"] for _, batch in loader]

    here, spawned = batches(None), batches("spawn")
    assert here and all(map(torch.equal, here, spawned))


def test_the_baseline_is_espnets_generator(hifigan: Path):
    model, _ = VocoderTask.build_model_from_file(None, hifigan / "latest.pth")
    assert type(model.gan.generator) is HiFiGANGenerator
    assert model.gan.discriminators.keys() == {"mpd", "mrd"} and model.gan.balancer is not None


def test_vocos_is_its_packages_modules_trained_by_the_same_task(vocos: Path):
    model, _ = VocoderTask.build_model_from_file(None, vocos / "latest.pth")
    parts = model.gan.generator.backbone, model.gan.generator.head
    assert [type(part).__module__ for part in parts] == ["vocos.models", "vocos.heads"]
    assert model.gan.discriminators.keys() == {"mpd", "mrd"} and model.gan.balancer is not None
    reporter = safe_torch_load(vocos / "checkpoint.pth")["reporter"]["stats"]
    assert reporter[2]["train"]["mel"] < reporter[1]["train"]["mel"]
    assert reporter[2]["valid"]["mel"] < reporter[1]["valid"]["mel"]


def test_a_trained_vocos_goes_every_way_that_a_model_goes(
    vocos: Path, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture
):
    wav = 0.1 * torch.randn(16000)
    trained = EVAGANVocoder.load(vocos / "valid.mel.best.pth")
    expected = trained.resynthesize(wav, 16000)
    trained.save_pretrained(tmp_path / "packed")
    assert torch.equal(EVAGANVocoder.load(tmp_path / "packed").resynthesize(wav, 16000), expected)
    assert "# Vocos vocoder, 16000 Hz" in (tmp_path / "packed" / "README.md").read_text()
    with pytest.raises(UsageError, match="Vocos cannot be exported"):
        EVAGANVocoder.load(tmp_path / "packed", engine="onnxruntime")
    with pytest.raises(UsageError, match="vocos cannot compute in bfloat16"):
        EVAGANVocoder.load(tmp_path / "packed", dtype=torch.bfloat16)
    with pytest.raises(UsageError, match="only a model of ours can stream"):
        trained.stream()
    untrained = EVAGANVocoder.untrained(vocos / "latest.pth").resynthesize(wav, 16000)
    assert untrained.shape == expected.shape and not torch.allclose(untrained, expected, atol=1e-3)
    # A new training starts from the packed weights.
    start = {"init_param": [str(tmp_path / "packed")], "num_iters_per_epoch": 1, "optim_conf": {"lr": 1e-12}}
    again = train(tmp_path / "again", VOCOS_TASK | start)
    state = weights(again / "latest.pth")
    for name, value in trained.generator.state_dict().items():
        torch.testing.assert_close(state[f"gan.generator.{name}"], value, msg=name)
    info(str(vocos / "config.yaml"))
    parameters = sum(value.numel() for value in trained.generator.parameters())
    assert f"{parameters:,}" in capsys.readouterr().out


def test_validation_can_be_heard_and_seen(hifigan: Path, an4: Path):
    events = EventAccumulator(str(hifigan / "tensorboard" / "train"), size_guidance={"audio": 0, "images": 0})
    events.Reload()
    utterance = (an4 / "valid" / "wav.scp").read_text().split()[0]
    assert set(events.Tags()["audio"]) == {f"{utterance}/reference", f"{utterance}/generated"}
    (clip,) = events.Audio(f"{utterance}/reference")
    info = soundfile.info(an4 / "valid" / f"{utterance}.wav")
    assert clip.sample_rate == 16000 and clip.length_frames == info.frames // 256 * 256
    (picture,) = events.Images(f"{utterance}/mel")
    assert picture.encoded_image_string.startswith(b"\x89PNG") and picture.width > 300
    assert {"mel", "adv_mpd", "fm_mrd", "disc_loss", "balancer/share_mel"} <= set(events.Tags()["scalars"])


@pytest.fixture(scope="module")
def feats(an4: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``feats.scp`` beside each ``wav.scp``: mels of the audio, in ESPnet's shape."""
    config = build_config({"preset": "eva_gan_mini_16k"})
    mel = MelSpectrogram(config.mel)
    for split in ("train", "valid"):
        lines = []
        for line in (an4 / split / "wav.scp").read_text().splitlines():
            utterance, path = line.split()
            wav = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
            np.save(an4 / split / f"{utterance}.npy", mel(wav.view(1, 1, -1))[0].T.numpy())
            lines.append(f"{utterance} {an4 / split / utterance}.npy\n")
        (an4 / split / "feats.scp").write_text("".join(lines))
    return an4


def test_training_from_features(feats: Path, train: Train, unbroken: Path, tmp_path: Path):
    started = unbroken / "valid.mel.best.pth"
    experiment = train(
        tmp_path / "feats", {"init_param": [str(started)], "num_workers": 1, "generator_first": True}, feats=True
    )
    log = safe_torch_load(experiment / "checkpoint.pth")["reporter"]["stats"][1]
    before = safe_torch_load(unbroken / "checkpoint.pth")["reporter"]["stats"]
    # It goes on from where the model was: features are the mels that the model would have computed itself.
    assert log["valid"]["mel"] < min(1.1 * before[3]["valid"]["mel"], before[1]["valid"]["mel"])
    assert log["valid"]["mel"] < before[1]["valid"]["mel"]
