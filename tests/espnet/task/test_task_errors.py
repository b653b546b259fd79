"""Bad input of the vocoder task: one line, the right exit status, nothing lost."""

import argparse
import resource
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny_models import VOCOS

from evagan_plugin.errors import EvaganError
from evagan_plugin.espnet.task import checks
from evagan_plugin.espnet.task.task import VocoderTask, complete_optimization, vocoder_config
from evagan_plugin.espnet.task.trainer import whole_checkpoints
from evagan_plugin.utils.lock import locked

Fails = Callable[..., str]


@pytest.fixture
def fails(command: Callable[..., list[str]], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Fails:
    """Run the task, see it fail in one line, and return that line."""

    def run(config: dict | None = None, *, status: int = 2, output_dir: Path | None = None, **data: object) -> str:
        line = command(tmp_path / "exp", config, **data)
        if output_dir is not None:
            line += ["--output_dir", str(output_dir)]
        with pytest.raises(SystemExit) as ended:
            VocoderTask.main(cmd=line)
        written = capsys.readouterr().err
        assert ended.value.code == status, written
        assert "Traceback" not in written
        (message,) = [row for row in written.splitlines() if row.startswith("vocoder_train: error: ")]
        assert written.rstrip().endswith(message)
        assert not list(tmp_path.rglob("*.pth")) or output_dir is not None
        return message

    return run


@pytest.fixture
def folder(an4: Path, tmp_path: Path) -> Path:
    """A data directory of one's own to spoil; its first utterance is ``an152-mwhw-b``."""
    copy = tmp_path / "data"
    shutil.copytree(an4 / "train", copy)
    lines = (copy / "wav.scp").read_text().replace(f"{an4}/train/", f"{copy}/")
    (copy / "wav.scp").write_text("".join(sorted(lines.splitlines(keepends=True))))
    return copy


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"vocoder_conf": {"generater": {}}}, "unknown config field 'generater': did you mean 'generator'"),
        ({"vocoder_conf": {"preset": "eva_gan_tiny_61k"}}, "did you mean 'eva_gan_tiny_16k'"),
        ({"vocoder_conf": {"generator": {"upsample_rates": [4, 4, 2, 2]}}}, "4 x 4 x 2 x 2 = 64 is not mel.hop_length"),
        ({"vocoder": "hifigan"}, "vocoder: hifigan needs vocoder_conf.generator.context: none"),
        ({"vocoder": "vocos"}, "vocoder: vocos needs vocoder_conf.generator: none and, in vocoder_conf.vocos, dim"),
        ({"vocoder_conf": VOCOS}, "this vocoder is a Vocos (section vocos)"),
        ({"vocoder_conf": VOCOS | {"generator": {}}}, "generator and vocos are both given"),
        ({"vocoder_conf": {"generator": "none"}}, "generator is none: give it, or the section vocos"),
        ({"vocoder": "vocos", "vocoder_conf": VOCOS | {"vocos": VOCOS["vocos"] | {"dims": 8}}}, "did you mean 'dim'"),
        ({"vocoder_conf": {"generator": {"global_channels": 4}}}, "a stand-alone vocoder has no global condition"),
        ({"accum_grad": 2}, "--accum_grad 2 cannot be used"),
        ({"use_amp": True}, "set vocoder_conf.training.bf16 instead"),
        ({"iterator_type": "chunk"}, "--iterator_type chunk cannot be used"),
        ({"optim_conf": {"lr": "1e-3"}}, "optim_conf.lr: YAML takes 1e-3 for text; write 1.0e-3"),
        (
            {"optim2_conf": {"learning_rate": 0.1}},
            "optim2_conf: AdamW.__init__() got an unexpected keyword argument 'learning_rate'",
        ),
        (
            {"scheduler_conf": {"gama": 0.1}},
            "scheduler_conf: ExponentialLR.__init__() got an unexpected keyword argument 'gama'",
        ),
        (
            {
                "scheduler": "onecyclelr",
                "scheduler_conf": {"max_lr": 0.001, "total_steps": 10},
                "num_iters_per_epoch": 4,
                "max_epoch": 3,
            },
            "scheduler_conf: onecyclelr ends after 10 steps, the training after 12",
        ),
        ({"ngpu": 64}, "--ngpu 64, but PyTorch finds"),
        ({"init_param": ["nowhere.pth"]}, "there is no file nowhere.pth"),
        ({"valid_data_path_and_name_and_type": ["a.scp,wav,sound"], "max_epoch": 1}, "is not PATH,NAME,TYPE"),
    ],
)
def test_config(fails: Fails, config: dict, message: str):
    assert message in fails(config)


def test_one_cycle_is_as_long_as_the_training(repository: Path):
    config = repository / "egs/cc0_voices/voc1/conf/train_eva_gan_tiny_16k_causal.yaml"
    args = VocoderTask.get_parser().parse_args(["--config", str(config), "--max_epoch", "3"])
    complete_optimization(args)
    for conf in (args.scheduler_conf, args.scheduler2_conf):
        assert conf["total_steps"] == 3 * args.num_iters_per_epoch == 3000
    checks.check_options(args, vocoder_config(args))


def test_unknown_config_keys_of_espnet_stay_argparse_errors(command: Callable, capsys, tmp_path: Path):
    with pytest.raises(SystemExit) as ended:
        VocoderTask.main(cmd=command(tmp_path / "exp", {"vocoder_config": {}}))
    assert ended.value.code == 2 and "unrecognized arguments: vocoder_config" in capsys.readouterr().err


def test_no_audio_for_validation(command: Callable, capsys, tmp_path: Path):
    line = command(tmp_path / "exp")
    with pytest.raises(SystemExit) as ended:
        VocoderTask.main(cmd=line[: line.index("--valid_data_path_and_name_and_type")])
    message = "--valid_data_path_and_name_and_type: no audio; give DIR/wav.scp,wav,sound"
    assert ended.value.code == 2 and message in capsys.readouterr().err


ARCHIVED = {"wav.ark": "data/wav.ark:13", "flac.ark": "flac.ark:0", "pipe": "sph2pipe -f wav a.sph |"}


def spoil(folder: Path, name: str) -> None:
    """Make the audio of the first utterance, or the list, unusable in a named way."""
    path, scp = folder / "an152-mwhw-b.wav", folder / "wav.scp"
    wav, sample_rate = soundfile.read(path)
    lines = scp.read_text().splitlines(keepends=True)
    if name == "missing":
        path.unlink()
    elif name == "no audio":
        path.write_bytes(b"RIFF and nothing more")
    elif name == "no samples":
        soundfile.write(path, wav[:0], sample_rate)
    elif name == "stereo":
        soundfile.write(path, np.stack([wav, wav], axis=1), sample_rate)
    elif name == "rate":
        soundfile.write(path, wav, 22050)
    elif name == "nan":
        soundfile.write(path, np.full(len(wav), np.nan, np.float32), sample_rate, subtype="FLOAT")
    elif name == "empty list":
        scp.write_text("")
    elif name == "duplicate":
        scp.write_text("".join([*lines, lines[0]]))
    elif name in ARCHIVED:
        scp.write_text("".join([f"an152-mwhw-b {ARCHIVED[name]}\n", *lines[1:]]))
    elif name == "no path":
        scp.write_text("".join(["an152-mwhw-b\n", *lines[1:]]))


@pytest.mark.parametrize(
    ("how", "message", "status"),
    [
        ("missing", "1 of 6 recordings cannot be used: an152-mwhw-b (no file ", 2),
        ("no audio", "not readable as audio", 2),
        ("no samples", "an152-mwhw-b (no samples)", 2),
        ("stereo", "an152-mwhw-b (2 channels); make a clean directory with `evagan format", 2),
        ("rate", "an152-mwhw-b (22050 Hz, the model has 16000 Hz)", 2),
        ("empty list", "wav.scp: no utterances in it", 2),
        ("duplicate", "wav.scp:7: duplicate id 'an152-mwhw-b', first on line 1", 2),
        ("no path", "wav.scp:1: 'an152-mwhw-b' has nothing after it", 2),
        (
            "wav.ark",
            "archives, which the training does not read: an152-mwhw-b; `evagan format DIR OUT --sample-rate",
            2,
        ),
        ("flac.ark", "1 of 6 recordings are in archives, which the training does not read: an152-mwhw-b; `evagan", 2),
        ("pipe", "not run: convert it to a file first (of audio that you trust: `evagan format DIR OUT_DIR", 2),
        ("nan", "utterance 'an152-mwhw-b': wav has values that are NaN", 1),
    ],
)
def test_audio(fails: Fails, folder: Path, how: str, message: str, status: int):
    spoil(folder, how)
    # A whole epoch in a data loader's worker: what is wrong inside a file shows when it is read.
    assert message in fails({"num_workers": 1}, train=folder, status=status)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((80, 63), "feats of shape (80, 63), not (frames, 80): frames and bands are swapped"),
        ((40, 80), "40 frames of 256 samples beside 16000 samples (62.5 frames)"),
        (None, "feats.scp: 1 utterance(s) of wav.scp have no features: an152-mwhw-b"),
    ],
)
def test_features(fails: Fails, folder: Path, an4: Path, shape: tuple | None, message: str):
    lines = []
    for line in (folder / "wav.scp").read_text().splitlines():
        utterance, path = line.split()
        fits = (soundfile.info(path).frames // 256 + 1, 80)
        np.save(folder / f"{utterance}.npy", np.zeros(shape if utterance == "an152-mwhw-b" and shape else fits, "f"))
        lines.append(f"{utterance} {folder}/{utterance}.npy\n")
    (folder / "feats.scp").write_text("".join(lines if shape else lines[1:]))
    options = {"train_data_path_and_name_and_type": [[f"{folder}/feats.scp", "feats", "npy"]]}
    assert message in fails(options, train=folder)


def test_unwritable_output(fails: Fails, tmp_path: Path):
    (tmp_path / "file").write_text("no directory")
    assert "cannot write " in fails(output_dir=tmp_path / "file" / "exp", status=1)


@pytest.fixture(scope="module")
def trained(train: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiment of one epoch."""
    return train(tmp_path_factory.mktemp("exp") / "trained")


@pytest.fixture
def experiment(trained: Path, tmp_path: Path) -> Path:
    """A copy of an experiment to spoil."""
    return Path(shutil.copytree(trained, tmp_path / "experiment", symlinks=True))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"vocoder_conf": {"generator": {"channels": 128}}}, "generator.channels: 128 != 64"),
        ({"vocoder_conf": {"mel": {"f_min": 0}}}, "mel.f_min: 0.0 != 80.0"),
        ({"vocoder_conf": {"discriminators": {"mpd": {"channels": 4}}}}, "discriminators.mpd.channels: 4 != 2"),
        ({"vocoder_conf": {"balancer": False}}, "(balancer on), the config has mel, "),
    ],
)
def test_resuming_with_another_configuration(fails: Fails, experiment: Path, config: dict, message: str):
    before = {path: path.stat().st_mtime_ns for path in experiment.iterdir()}
    assert message in fails(config, output_dir=experiment)
    assert {path: path.stat().st_mtime_ns for path in experiment.iterdir()} == before


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"optim_conf": {"lr": 5.0e-4}}, "optim_conf.lr: 0.0005 != 0.001"),
        ({"scheduler2": "steplr", "scheduler2_conf": {"step_size": 1}}, "scheduler2: steplr != exponentiallr"),
        ({"optim2": "sgd", "optim2_conf": {"lr": 0.1}}, "optim2: sgd != adamw"),
    ],
)
def test_resuming_with_another_optimization(fails: Fails, experiment: Path, config: dict, message: str):
    before = {path: path.stat().st_mtime_ns for path in experiment.iterdir()}
    written = fails(config | {"max_epoch": 2}, output_dir=experiment)
    assert message in written and "take the new ones with --reset_optim true" in written
    assert {path: path.stat().st_mtime_ns for path in experiment.iterdir()} == before


def test_resuming_with_other_data(
    fails: Fails, experiment: Path, an4: Path, mix: Path, monkeypatch: pytest.MonkeyPatch
):
    before = {path: path.stat().st_mtime_ns for path in experiment.iterdir()}
    for other in (an4 / "valid", mix):
        written = fails(output_dir=experiment, train=other)
        assert f"trained on other data: train_data_path_and_name_and_type: {other}" in written
        assert f"!= {an4}/train/wav.scp,wav,sound; choose another --output_dir" in written
    shapes = fails({"train_shape_file": [str(an4 / "train" / "wav.scp")]}, output_dir=experiment)
    assert "trained on other data: train_shape_file: " in shapes
    assert {path: path.stat().st_mtime_ns for path in experiment.iterdir()} == before


def test_the_same_data_under_another_name(train: Callable, experiment: Path, an4: Path, tmp_path: Path):
    (tmp_path / "data").symlink_to(an4 / "train")
    train(experiment, {"max_epoch": 2}, train=tmp_path / "data")
    assert torch.load(experiment / "checkpoint.pth", weights_only=True)["reporter"]["epoch"] == 2


def test_a_new_optimization_is_taken_where_it_is_wished(train: Callable, experiment: Path):
    new = {"optim_conf": {"lr": 5.0e-4}, "scheduler": "steplr", "scheduler_conf": {"step_size": 1, "gamma": 0.5}}
    train(experiment, new | {"reset_optim": True, "max_epoch": 2})
    # The same command again resets nothing.
    train(experiment, new | {"reset_optim": True, "max_epoch": 3})
    log = torch.load(experiment / "checkpoint.pth", weights_only=True)["reporter"]["stats"]
    rates = [log[epoch]["train"]["optim0_lr0"] for epoch in (1, 2, 3)]
    assert rates == pytest.approx([1e-3, 5e-4, 2.5e-4])


def test_two_trainings_in_one_directory(fails: Fails, experiment: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checks, "PATIENCE", 0.3)
    before = {path: path.stat().st_mtime_ns for path in experiment.iterdir()}
    with locked(experiment):
        assert f"{experiment} is in use by another process" in fails(output_dir=experiment, status=1)
    assert {path: path.stat().st_mtime_ns for path in experiment.iterdir()} == before


@pytest.mark.parametrize(("launcher", "variable"), [(None, "RANK"), ("slurm", "SLURM_PROCID")])
def test_of_a_distributed_training_the_first_process_alone_asks_for_the_directory(
    launcher: str | None, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(checks, "PATIENCE", 0.3)
    for name in ("SLURM_NTASKS", "SLURM_STEP_NUM_NODES", "SLURM_STEP_NODELIST"):
        monkeypatch.setenv(name, "2")
    args = argparse.Namespace(dist_launcher=launcher, dist_rank=None, output_dir=str(tmp_path))
    for rank, outcome in (("0", pytest.raises(EvaganError, match="in use by another process")), ("1", nullcontext())):
        monkeypatch.setenv(variable, rank)
        with locked(tmp_path), outcome, checks.only_training(args):
            pass


@pytest.mark.parametrize("mismatch", ["generator", "vocoder"])
def test_starting_from_another_configuration(fails: Fails, experiment: Path, mismatch: str):
    weights = experiment / "latest.pth"
    change = {
        "generator": {"vocoder_conf": {"generator": {"resblock_kernels": [5]}}},
        "vocoder": {"vocoder": "hifigan", "vocoder_conf": {"preset": "hifigan_v1_22k"}},
    }[mismatch]
    message = fails({"init_param": [str(weights)]} | change, output_dir=experiment / "next")
    wanted = "generator.resblock_kernels: [5] != [3]" if mismatch == "generator" else "is of vocoder: eva_gan"
    assert f"{weights} is of " in message and wanted in message


def test_weights_without_their_config(fails: Fails, experiment: Path):
    (experiment / "config.yaml").unlink()
    change = {"vocoder_conf": {"generator": {"channels": 128}}, "init_param": [str(experiment / "1epoch.pth")]}
    message = fails(change, output_dir=experiment / "next")
    assert "a checkpoint is of another configuration: size mismatch for gan.generator." in message


@pytest.mark.parametrize("name", ["checkpoint.pth", "1epoch.pth"])
def test_truncated_checkpoint(fails: Fails, experiment: Path, name: str):
    content = (experiment / name).read_bytes()
    (experiment / name).write_bytes(content[: len(content) // 2])
    resumed = name == "checkpoint.pth"
    options = {} if resumed else {"init_param": [str(experiment / name)]}
    message = fails(options, output_dir=experiment if resumed else experiment / "next", status=1)
    assert f"{experiment / name} is truncated" in message


def test_weights_that_do_not_fit_are_not_passed_over(experiment: Path):
    state = torch.load(experiment / "1epoch.pth", weights_only=True)
    state.pop("gan.generator.upsampler.pre.bias")
    torch.save(state, experiment / "1epoch.pth")
    with pytest.raises(EvaganError, match=r"Missing key.*gan\.generator\.upsampler\.pre\.bias"):
        VocoderTask.build_model_from_file(None, experiment / "1epoch.pth")


def test_a_full_disk_leaves_the_former_checkpoint(tmp_path: Path):
    path = tmp_path / "checkpoint.pth"
    torch.save({"weight": torch.ones(2)}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(EvaganError, match=f"cannot write {path}"), whole_checkpoints():
            torch.save({"weight": torch.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert torch.equal(torch.load(path, weights_only=True)["weight"], torch.ones(2))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("config", "environment", "words"),
    [
        ({"dist_launcher": "slurm"}, {}, "This process seems not to be launched by 'srun'"),
        ({"dist_launcher": "horovod"}, {}, "launcher='horovod' is not supported"),
        ({"dist_world_size": 2}, {}, "--dist_rank or RANK must be set"),
        (
            {"dist_world_size": 2, "dist_rank": 2},
            {"MASTER_ADDR": "localhost", "MASTER_PORT": "1"},
            "RANK >= WORLD_SIZE",
        ),
        ({"dist_world_size": 2, "dist_rank": 0}, {}, "MASTER_ADDR must be set"),
        ({}, {"WORLD_SIZE": "two"}, "invalid literal for int"),
        ({"dist_backend": "pigeon"}, {}, "--dist_backend pigeon"),
    ],
)
@pytest.mark.parametrize("several", [True, False])
def test_a_wrong_rank_or_launcher_is_one_line(fails, config, environment, words, several, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    message = fails({**config, "multiprocessing_distributed": several})
    assert "distributed training: " in message and words in message
