"""The statistics of a training's mels: their values, that hosts keep them, and that a checkpoint brings them along."""

import math

import pytest
import torch
import yaml
from tiny_gan import TINY, Training, tiny_gan, two_tones

from evagan_plugin import EVAGANVocoder
from evagan_plugin.checkpoint.convert import open_checkpoint
from evagan_plugin.checkpoint.native import load_checkpoint, save_checkpoint
from evagan_plugin.training import statistics
from evagan_plugin.training.statistics import GatheredMels


def test_they_are_those_of_all_batches():
    torch.manual_seed(0)
    mels = torch.randn(5, 2, 20, 30) * torch.arange(1.0, 6.0).view(5, 1, 1, 1) - 4
    gathered = GatheredMels()
    for mel in mels:
        gathered.add(mel)
    mean, square, lowest, highest = gathered.values.tolist()
    assert mean == pytest.approx(mels.mean().item(), abs=1e-5)
    assert square == pytest.approx(mels.square().mean().item(), rel=1e-5)
    assert (lowest, highest) == (mels.min().item(), mels.max().item())


def test_old_batches_are_forgotten_and_broken_ones_left_out(monkeypatch):
    monkeypatch.setattr(statistics, "MEMORY", 20)
    gathered = GatheredMels()
    gathered.add(torch.full((1, 2, 3), -9.0))
    for _ in range(80):
        gathered.add(torch.full((1, 2, 3), -5.0))
    before = gathered.values.clone()
    assert float(before[0]) == pytest.approx(-5, abs=0.2)
    gathered.add(torch.full((1, 2, 3), math.nan))
    assert torch.equal(before, gathered.values)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_training_that_begins_with_broken_batches_forgets_them(broken: float):
    gathered = GatheredMels()
    for _ in range(2):
        gathered.add(torch.tensor([[[-4.0, broken]]]))
    assert int(gathered.steps) == 0
    gathered.add(torch.tensor([[[-6.0, -2.0]]]))
    gathered.add(torch.tensor([[[-5.0, broken]]]))
    assert int(gathered.steps) == 1 and gathered.values.tolist() == [-4.0, 20.0, -6.0, -2.0]


def test_each_batch_of_a_training_counts_once():
    run = Training()
    waves = [two_tones() * scale for scale in (1.0, 0.5, 0.1)]
    run.steps(waves)
    run.gan.eval().generator_step(two_tones())
    mels = torch.stack([run.gan.mel(wav) for wav in waves])
    assert int(run.gan.mel_statistics.steps) == 3
    assert float(run.gan.mel_statistics.values[0]) == pytest.approx(mels.mean().item(), abs=1e-5)


def test_a_checkpoint_of_before_is_completed():
    run = Training()
    run.steps([two_tones()])
    old = {name: value for name, value in run.gan.state_dict().items() if not name.startswith("mel_statistics")}
    gan = tiny_gan()
    gan.load_state_dict(old)
    assert int(gan.mel_statistics.steps) == 0
    gan.load_state_dict(run.gan.state_dict())
    assert torch.equal(gan.mel_statistics.values, run.gan.mel_statistics.values)


def test_opening_packing_and_converting_carry_them(tmp_path, caplog):
    run = Training()
    run.steps([two_tones(), 0.3 * two_tones()])
    holder = torch.nn.ModuleDict({"gan": run.gan})
    torch.save(holder.state_dict(), tmp_path / "run.pth")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY))
    config, generator = open_checkpoint(tmp_path / "run.pth")
    mean, square, lowest, highest = run.gan.mel_statistics.values.tolist()
    known = config.mel_statistics
    assert (known.mean, known.lowest, known.highest) == pytest.approx((mean, lowest, highest))
    assert known.deviation == pytest.approx(math.sqrt(square - mean**2), rel=1e-3)
    save_checkpoint(tmp_path / "packed", config, generator)
    assert load_checkpoint(tmp_path / "packed")[0].mel_statistics == known
    mel = run.gan.mel(two_tones())
    EVAGANVocoder.load(tmp_path / "packed").synthesize(mel)
    assert not caplog.records
    EVAGANVocoder.load(tmp_path / "packed").synthesize(mel / math.log(10))
    assert f"likely log10 (values {mel.min() / math.log(10):.1f}" in caplog.text
    assert f"trained on {known.lowest:.1f} to {known.highest:.1f}" in caplog.text


@pytest.mark.parametrize("spoil", ["steps 0", "not finite", "another shape"])
def test_what_says_nothing_is_passed_over(tmp_path, spoil):
    run = Training()
    run.steps([two_tones()])
    state = torch.nn.ModuleDict({"gan": run.gan}).state_dict()
    if spoil == "steps 0":
        state["gan.mel_statistics.steps.done"].zero_()
    else:
        state["gan.mel_statistics.values"] = torch.full((4 if spoil == "not finite" else 3,), math.inf)
    torch.save(state, tmp_path / "run.pth")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY))
    assert open_checkpoint(tmp_path / "run.pth")[0].mel_statistics is None


def gather_in_process(rank: int, folder: str) -> None:
    """Let in this process's part of the batches."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    gathered = GatheredMels()
    for mel in batches()[rank::2]:
        gathered.add(mel)
    torch.save(gathered.state_dict(), f"{folder}/{rank}.pth")
    torch.distributed.destroy_process_group()


def batches() -> torch.Tensor:
    return torch.randn(4, 2, 20, 30, generator=torch.Generator().manual_seed(0)) - 5


def test_two_processes_gather_what_one_does(tmp_path):
    torch.multiprocessing.spawn(gather_in_process, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pth", weights_only=True) for rank in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    alone = GatheredMels()
    for pair in batches().view(2, 4, 20, 30):
        alone.add(pair)
    torch.testing.assert_close(first["values"], alone.values)
