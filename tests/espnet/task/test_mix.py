"""A ``mix.yaml`` in the place of a ``wav.scp``: what is refused, and what a training says of it."""

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tiny_models import TINY

from evagan_plugin.config import build_config
from evagan_plugin.errors import UsageError
from evagan_plugin.espnet.task.data import StreamSampler
from evagan_plugin.espnet.task.data_checks import check_data
from evagan_plugin.espnet.task.task import VocoderTask


def data(an4: Path, train: list, valid: list | None = None) -> argparse.Namespace:
    """Return the arguments that are looked at."""
    valid = valid or [(f"{an4}/valid/wav.scp", "wav", "sound")]
    options = {f"{split}_data_path_and_name_and_type": one for split, one in {"train": train, "valid": valid}.items()}
    return argparse.Namespace(seed=0, **options)


def test_a_mix_is_taken_for_training(an4: Path, mix: Path):
    check_data(data(an4, [(str(mix), "wav", "mix")]), build_config(TINY["vocoder_conf"]))


@pytest.mark.parametrize(
    ("sources", "valid", "message"),
    [
        ([("MIX", "wav", "sound")], None, "MIX,wav,sound: a mix is given as mix.yaml,wav,mix"),
        ([("MIX", "feats", "mix")], None, "a mix is given as mix.yaml,wav,mix"),
        ([("train/wav.scp", "wav", "mix")], None, "of type mix is a mix.yaml; a wav.scp is of type sound"),
        ([("MIX", "wav", "mix"), ("feats.scp", "feats", "npy")], None, "a mix has audio alone: leave out feats"),
        ([("MIX", "wav", "mix")], [("MIX", "wav", "mix")], "--valid_data.*a mix is for training; validation"),
    ],
)
def test_a_mix_in_a_wrong_place(an4: Path, mix: Path, sources: list, valid: list | None, message: str):
    train, valid = (
        [(path.replace("MIX", str(mix)), name, kind) for path, name, kind in one or []] for one in (sources, valid)
    )
    with pytest.raises(UsageError, match=message.replace("MIX", str(mix))):
        check_data(data(an4, train, valid), build_config(TINY["vocoder_conf"]))


def test_espnets_first_epoch_begins_with_the_first_item(mix: Path):
    from evagan_plugin.data.stream_items import StreamDataset

    stream = StreamDataset.for_training(mix, build_config(TINY["vocoder_conf"]), 0).stream
    sampler = StreamSampler(stream, 4, 6)
    assert sampler.generate(1)[0] == [0, 1, 2, 3] == next(iter(sampler)) and sampler.generate(2)[0][0] == 24


def spoiled(mix: Path, folder: Path, **fields: object) -> Path:
    """Copy a mix with other fields for its first source."""
    settings = yaml.safe_load(mix.read_text())
    settings["sources"][0] |= fields
    (folder / "mix.yaml").write_text(yaml.safe_dump(settings))
    return folder / "mix.yaml"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"share": -0.3}, "sources.0.share: Input should be greater than or equal to 0, not -0.3"),
        ({"path": "/nowhere"}, "source 'few': /nowhere: is not a directory"),
    ],
)
def test_a_wrong_mix_is_one_line(mix: Path, command: Callable, capsys, tmp_path: Path, fields: dict, message: str):
    with pytest.raises(SystemExit) as ended:
        VocoderTask.main(cmd=command(tmp_path / "exp", train=spoiled(mix, tmp_path, **fields)))
    assert ended.value.code == 2
    said = capsys.readouterr().err.rstrip().splitlines()[-1]
    assert said.startswith("vocoder_train: error: ") and message in said


@pytest.mark.parametrize("workers", [0, 1])
def test_too_many_unreadable_recordings_end_a_training(
    mix: Path, an4: Path, command: Callable, capsys, tmp_path: Path, workers: int
):
    shutil.copytree(an4 / "few", tmp_path / "few")
    first, second = (an4 / "few" / "wav.scp").read_text().splitlines()
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    (tmp_path / "few" / "wav.scp").write_text(f"{first}\n{second.split()[0]} {tmp_path}/broken.wav\n")
    # Lengths that are known, so that no file is opened before training.
    (tmp_path / "few" / "utt2dur").write_text(f"{first.split()[0]} 1\n{second.split()[0]} 2\n")
    path = spoiled(mix, tmp_path, path=str(tmp_path / "few"))
    with pytest.raises(SystemExit) as ended:
        VocoderTask.main(cmd=command(tmp_path / "exp", {"num_workers": workers}, train=path))
    assert ended.value.code == 1
    said = capsys.readouterr().err.rstrip().splitlines()[-1]
    assert said.startswith("vocoder_train: error: 'few/") and "more than max_unreadable 0.001 allows" in said
