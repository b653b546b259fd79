"""Checkpoints of an earlier version (``old/README.txt``) open, sound the same, and are trained on."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from evagan_plugin import EVAGANVocoder
from evagan_plugin.config import dump_config, load_config, read_settings
from evagan_plugin.config.aliases import REPORTED
from evagan_plugin.config.parts import STATISTICS

OLD = Path(__file__).with_name("old")
FILES = {
    "espnet": OLD / "espnet" / "checkpoint.pth",
    "coqui": OLD / "coqui" / "best_model.pth",
    "packed": OLD / "packed",
}
SETTINGS = (
    *("vocoder", "vocoder_conf", "optim_conf", "batch_size", "num_iters_per_epoch", "num_workers", "use_tensorboard"),
    *("train_data_path_and_name_and_type", "valid_data_path_and_name_and_type"),
)
"""What the training was given: ESPnet does not take the whole of what it writes."""
GATHERED = [f"gan.{name}" for name in STATISTICS]
WEIGHTS = {"mel": 300.0, "adv_mpd": 3.0, "adv_mrd": 3.0, "fm_mpd": 2.0, "fm_mrd": 2.0}


@pytest.mark.parametrize("name", FILES)
def test_it_opens_and_sounds_the_same(name, caplog):
    REPORTED.clear()
    vocoder = EVAGANVocoder.load(FILES[name])
    with np.load(OLD / name / "expected.npz") as expected:
        mel, wav = expected["mel"], expected["wav"]
    ours = vocoder.synthesize(mel).numpy()
    assert np.sqrt((wav**2).mean()) > 0.01 and np.abs(ours - wav).max() < 1e-5
    assert np.abs(vocoder.synthesize(mel + 1).numpy() - wav).max() > 1e-3  # it is the mel that is heard
    assert vocoder.config.weights == WEIGHTS
    # Only the config's: the mel is a random one, of which another line may say that it is no log-mel.
    configs = [record for record in caplog.records if record.name.startswith("evagan_plugin.config")]
    reported = [record.getMessage() for record in configs if record.levelno == logging.WARNING]
    renamed = [message.split(":")[0] for message in reported]
    assert renamed == [
        "config field 'generator.normalise' is now 'generator.normalize'",
        "config field 'balancer.shares' is now 'losses'",
    ]


def test_a_packed_config_is_written_in_todays_names(tmp_path):
    config = load_config(OLD / "packed" / "config.yaml")
    dump_config(config, tmp_path / "config.yaml")
    assert "shares" not in (tmp_path / "config.yaml").read_text()
    assert load_config(tmp_path / "config.yaml") == config


def test_espnet_goes_on_with_it(tmp_path, monkeypatch):
    task = pytest.importorskip("evagan_plugin.espnet.task.task", reason="the extra `espnet` brings ESPnet").VocoderTask
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for split, count in {"train": 4, "valid": 2}.items():  # where the old config says that they are
        folder = Path("data") / split
        folder.mkdir(parents=True)
        paths = {f"{split}{index}": folder / f"{index}.wav" for index in range(count)}
        for path in paths.values():
            soundfile.write(path, 0.1 * generator.standard_normal(8000), 8000)
        (folder / "wav.scp").write_text("".join(f"{name} {path}\n" for name, path in paths.items()))
    shutil.copytree(OLD / "espnet", "espnet")
    before = torch.load("espnet/checkpoint.pth", weights_only=False)["model"]
    torch.save(before, "espnet/1epoch.pth")  # which ESPnet averages its best with
    settings = read_settings("espnet/config.yaml")
    kept = {name: settings[name] for name in SETTINGS} | {"max_epoch": 2}
    Path("train.yaml").write_text(yaml.safe_dump(kept))
    task.main(cmd=["--config", "train.yaml", "--output_dir", "espnet"])
    after = torch.load("espnet/checkpoint.pth", weights_only=False)["model"]
    assert (before["gan.balancer.step"], after["gan.balancer.step"]) == (3, 6)
    # Steps are counted by themselves now; the balancer had counted the same ones.
    assert before.keys() | {"gan.steps.done", *GATHERED} == after.keys() and after["gan.steps.done"] == 6
    assert after["gan.mel_statistics.steps.done"] == 3  # of today's steps alone
    assert EVAGANVocoder.load("espnet/checkpoint.pth").config.weights == WEIGHTS
    assert "shares" not in Path("espnet/config.yaml").read_text()


def test_coqui_goes_on_with_it():
    pytest.importorskip("TTS", reason="the extra 'coqui' is not installed")
    from evagan_plugin.coqui.config import EvaGanConfig
    from evagan_plugin.coqui.model import EvaGan

    config = EvaGanConfig()
    config.load_json(OLD / "coqui" / "config.json")
    model = EvaGan(config)
    model.load_checkpoint(config, FILES["coqui"])
    saved = torch.load(FILES["coqui"], weights_only=False)
    assert model.gan.weights == WEIGHTS and model.progress.steps == 3
    state = model.state_dict()
    assert state.pop("gan.steps.done") == 3  # counted by themselves now; the balancer had counted the same ones
    assert [state.pop(name).sum() for name in GATHERED] == [0, 0]  # the old version gathered none
    assert all(torch.equal(value, saved["model"][name]) for name, value in state.items())
    for optimizer, state in zip(model.get_optimizer(), saved["optimizer"], strict=True):
        optimizer.load_state_dict(state)
    assert config.optimizer_params["weight_decay"] == 0.0  # as it was trained, whatever today's default
