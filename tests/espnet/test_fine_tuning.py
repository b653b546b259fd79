"""A training that is packed with its discriminators: fine-tuning in ESPnet goes on from both networks."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evagan_plugin.checkpoint.discriminators import FILE
from evagan_plugin.checkpoint.tensors import folded, read_weights

INSIDE = "gan.discriminators."
RATE = 1e-6
TRAINING = {"vocoder_conf": {"training": {"discriminator_start_steps": 3, "ema": 0.9}}}


@pytest.fixture(scope="module")
def trained(train: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a training of six steps, three of them with discriminators."""
    return train(tmp_path_factory.mktemp("trained") / "exp", TRAINING) / "1epoch.pth"


def test_both_networks_go_on_where_they_were(trained, evagan, train, tmp_path, caplog):
    packed = tmp_path / "packed"
    status, said, _ = evagan("pack", trained, packed, "--discriminators", "--dtype", "float16")
    assert status == 0 and FILE in said
    assert {value.dtype for value in read_weights(packed / "model.safetensors").values()} == {torch.float16}
    # More steps to the start than this run has: those of the packed training count.
    later = {"vocoder_conf": {"training": {"discriminator_start_steps": 6}}, "num_iters_per_epoch": 2}
    rates = {"optim_conf": {"lr": RATE}, "optim2_conf": {"lr": RATE}}
    experiment = train(tmp_path / "exp", later | rates | {"init_param": [str(packed)]})
    assert "start anew" not in caplog.text
    before, after = (torch.load(path, weights_only=True) for path in (trained, experiment / "1epoch.pth"))
    assert float(before["gan.steps.done"]) == 6 and float(after["gan.steps.done"]) == 8
    before, after = (folded({k: v for k, v in state.items() if k.startswith(INSIDE)}) for state in (before, after))
    assert before and not any(torch.equal(after[name], value) for name, value in before.items())
    close = [torch.allclose(after[name], value, rtol=1e-3, atol=1e-5) for name, value in before.items()]
    assert all(close), "two steps and the rounding to float16 away"


def test_other_discriminators_start_anew(trained, evagan, train, tmp_path, caplog):
    assert evagan("pack", trained, tmp_path / "packed", "--discriminators")[0] == 0
    other = {"vocoder_conf": {"discriminators": {"mpd": {"channels": 4}}}, "num_iters_per_epoch": 1}
    experiment = train(tmp_path / "exp", other | {"init_param": [str(tmp_path / "packed")]})
    assert "its discriminators are of another config than the training's" in caplog.text
    assert "they start anew" in caplog.text
    assert float(torch.load(experiment / "1epoch.pth", weights_only=True)["gan.steps.done"]) == 1


def test_discriminators_that_have_not_started_are_not_packed(trained, evagan, train, tmp_path):
    never = {"vocoder_conf": {"training": {"discriminator_start_steps": 100}}, "num_iters_per_epoch": 1}
    checkpoint = train(tmp_path / "exp", never) / "1epoch.pth"
    status, _, error = evagan("pack", checkpoint, tmp_path / "packed", "--discriminators")
    assert status == 2
    assert error.endswith(f"evagan: error: {checkpoint} has no trained discriminators: leave out --discriminators\n")
    assert not (tmp_path / "packed").exists()


def test_a_damaged_file_of_discriminators_is_one_line(trained, evagan, tmp_path):
    assert evagan("pack", trained, tmp_path / "packed", "--discriminators")[0] == 0
    path = tmp_path / "packed" / FILE
    path.write_bytes(path.read_bytes()[:100])
    status, _, error = evagan("convert", tmp_path / "packed", tmp_path / "out", "--to", "espnet")
    assert status == 1 and f"{path} is damaged or truncated" in error and not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["espnet", "evagan"])
def test_conversion_keeps_them(trained, evagan, tmp_path, kind):
    assert evagan("pack", trained, tmp_path / "packed", "--discriminators")[0] == 0
    status, said, _ = evagan("convert", tmp_path / "packed", tmp_path / "out", "--to", kind)
    assert status == 0 and "with discriminators, after 6 steps" in said


def test_another_model_in_their_place_leaves_none(trained, evagan, tmp_path):
    assert evagan("pack", trained, tmp_path / "packed", "--discriminators")[0] == 0
    assert evagan("pack", trained, tmp_path / "packed")[0] == 0
    assert not (tmp_path / "packed" / FILE).exists()
