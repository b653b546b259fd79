"""Weights: what is wrong with a file, and tensors that do not fit."""

import pickle

import pytest
import torch

from evagan_plugin.checkpoint.convert import open_checkpoint
from evagan_plugin.checkpoint.tensors import fill
from evagan_plugin.errors import EvaganError
from evagan_plugin.model.generator import EVAGANGenerator


def test_a_truncated_file_is_one_line(saved, tmp_path, generator):
    weights = saved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(EvaganError, match="damaged or truncated"):
        open_checkpoint(saved)
    torch.save(generator.state_dict(), saved / "model.pth")
    (saved / "model.pth").write_bytes((saved / "model.pth").read_bytes()[:-500])
    with pytest.raises(EvaganError, match=r"cannot load .*model\.pth: damaged or truncated"):
        open_checkpoint(saved / "model.pth")


def test_code_in_a_checkpoint_is_refused_and_not_run(saved, tmp_path):
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    (saved / "evil.pth").write_bytes(pickle.dumps(Evil()))
    torch.save({"model": Evil()}, saved / "evil2.pth")
    for name in ("evil.pth", "evil2.pth"):
        with pytest.raises(EvaganError, match="cannot load"):
            open_checkpoint(saved / name)
    assert not marker.exists()


def test_tensors_that_do_not_fit_are_listed_and_nothing_is_loaded(generator, config):
    target = EVAGANGenerator.from_config(config)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    state = dict(EVAGANGenerator.from_config(config).remove_weight_norm().state_dict())
    state["upsampler.pre.bias"] = torch.zeros(3)
    state["surprise"] = torch.zeros(1)
    del state["context.norm.bias"]
    with pytest.raises(EvaganError) as caught:
        fill(target, state, "x.pth")
    for part in ("context.norm.bias is missing", "surprise is unexpected", "upsampler.pre.bias is (3,), not (64,)"):
        assert part in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
