"""Files of others: what lies beside the weights, several weights in one file, and networks that are none of ours."""

import argparse
import datetime
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from published import STYLES, HiFiGAN, loud
from test_parity import V3

from evagan_plugin.checkpoint.convert import open_checkpoint
from evagan_plugin.checkpoint.tensors import read_weights
from evagan_plugin.errors import EvaganError, UsageError

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
Run = Callable[..., tuple[int, str, str]]


def hifigan(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return loud(HiFiGAN(V3, STYLES["folded"])).state_dict()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict], Path]:
    """Write a pickle with an official config beside it."""
    (tmp_path / "config.json").write_text(json.dumps(V3))

    def save(content: object, name: str = "g_00000010") -> Path:
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return save


@pytest.mark.parametrize(
    "beside",
    [
        {"loss": np.float32(0.25), "steps": np.int64(3), "best": np.bool_(True)},
        {"random": (np.random.RandomState(0).get_state(), random.Random(0).getstate())},
        {"losses": np.arange(6.0).reshape(2, 3), "names": np.array(["a", "bc"])},
        {"args": argparse.Namespace(lr=0.1, data=Path("a/b"), nested=argparse.Namespace(seed=np.int32(1)))},
        {"saved": datetime.datetime(2024, 5, 1, 12), "spread": np.float64(0.5).reshape(())},
    ],
)
def test_what_is_harmless_beside_the_weights_is_passed_over(write: Callable, beside: dict):
    state = hifigan(0)
    read = read_weights(write({"generator": state} | beside))
    assert read.keys() == state.keys() and all(torch.equal(read[name], state[name]) for name in state)


class Options(dict):
    """A class of a trainer."""


@pytest.mark.parametrize("beside", [Options(a=1), random.Random(0), np.random.default_rng(0), Options.fromkeys])
def test_what_is_not_is_named_with_the_way_to_save_the_weights(
    convert: Run, write: Callable, beside: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write({"generator": hifigan(0), "extra": beside})
    status, _, errors = convert(path, tmp_path / "out")
    assert status == 1 and errors.count("\n") == 1
    kinds = ("Options", "random.Random", "numpy.random", "getattr")
    assert "it holds more than weights (" in errors and any(kind in errors for kind in kinds)
    assert "torch.load('g_00000010', weights_only=False)['generator']" in errors
    monkeypatch.chdir(tmp_path)
    exec(errors[errors.index("torch.save(") : errors.index(", with the entry")])
    assert convert(tmp_path / "weights.pth", tmp_path / "out")[0] == 0


@pytest.fixture
def convert(evagan: Run) -> Run:
    return lambda *arguments: evagan("convert", *arguments)


@pytest.mark.parametrize("average", ["generator_ema", "ema", "generator_swa"])
def test_of_several_weights_one_is_chosen_and_told(convert: Run, write: Callable, caplog, tmp_path, average: str):
    own, averaged = hifigan(0), hifigan(1)
    path = write({"generator": own, average: averaged, "optimizer": {"state": {}}})
    assert convert(path, tmp_path / "own")[0] == 0
    assert f"'generator' is taken; it also has {average} (--weights)" in caplog.text
    caplog.clear()
    status, _, errors = convert(path, tmp_path / "averaged", "--weights", average)
    assert (status, caplog.text) == (0, ""), errors
    mel = torch.randn(1, 80, 5)
    with torch.no_grad():
        wanted = HiFiGAN(V3, STYLES["folded"]).eval()
        wanted.load_state_dict(averaged)
        torch.testing.assert_close(open_checkpoint(tmp_path / "averaged")[1](mel), wanted(mel), atol=1e-5, rtol=0)
        assert not torch.allclose(open_checkpoint(tmp_path / "own")[1](mel), wanted(mel), atol=1e-3)
    status, _, errors = convert(path, tmp_path / "out", "--weights", f"{average}x")
    assert status == 2 and f"has no weights '{average}x': did you mean '{average}'" in errors


def test_several_generators_in_one_state_are_told_apart(write: Callable, caplog):
    state = {f"net.generator.{name}": value for name, value in hifigan(0).items()}
    state |= {f"net.generator_ema.{name}": value for name, value in hifigan(1).items()}
    path = write({"state_dict": state})
    first = open_checkpoint(path)[1].state_dict()
    assert "the generator 'net.generator' is taken; it also has net.generator_ema (--weights)" in caplog.text
    second = open_checkpoint(path, weights="generator_ema")[1].state_dict()
    assert torch.equal(first["upsampler.pre.bias"], state["net.generator.conv_pre.bias"])
    assert torch.equal(second["upsampler.pre.bias"], state["net.generator_ema.conv_pre.bias"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("do_02500000", {"mpd": {"a": torch.ones(1)}, "msd": {"a": torch.ones(1)}, "optim_g": {}, "steps": 1}),
        ("do_5", {"mrd": {"a": torch.ones(1)}, "optim_d": {"state": {}}, "epoch": np.int64(2)}),
    ],
)
def test_discriminators_say_that_the_generator_is_wanted(write: Callable, name: str, content: dict):
    with pytest.raises(EvaganError, match=rf"give the generator's file \(g_{name[3:]}\)"):
        read_weights(write(content, name))


def test_weights_under_another_name_can_be_chosen(write: Callable):
    path = write({"net_g": hifigan(0), "iteration": 3})
    with pytest.raises(EvaganError, match=r"choose one with --weights \(net_g\)"):
        open_checkpoint(path)
    assert open_checkpoint(path, weights="net_g")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (["conv_pre.bias", "m_source.l_linear.weight", "noise_convs.0.weight"], "is of NSF-HiFi-GAN"),
        (["conv_pre.bias", "resblocks.0.activations.0.act.alpha"], "give bigvgan:PATH to synth"),
        (["feature_extractor.mel.window", "backbone.convnext.0.dwconv.weight", "head.out.weight"], "give vocos:PATH"),
    ],
)
def test_other_vocoders_are_known(convert: Run, write: Callable, tmp_path, tensors: list[str], message: str):
    path = write({"generator": dict.fromkeys(tensors, torch.ones(1))})
    status, _, errors = convert(path, tmp_path / "out")
    assert status == 2 and message in errors and errors.count("\n") == 1
    with pytest.raises(UsageError):
        open_checkpoint(path)


def test_bigvgan_itself_is_known(write: Callable):
    package = pytest.importorskip("bigvgan", reason="the extra 'bigvgan' is not installed")
    settings = V3 | {"resblock": "1", "activation": "snakebeta", "snake_logscale": True}
    settings |= {"resblock_dilation_sizes": [[1, 3, 5]] * 3}
    path = write({"generator": package.BigVGAN(package.AttrDict(settings)).state_dict()})
    with pytest.raises(UsageError, match="is of BigVGAN: give bigvgan:PATH"):
        open_checkpoint(path)
