"""Models that come with the package: taken by name wherever a model is, and told apart from paths."""

from pathlib import Path

import pytest
import torch

from evagan_plugin import EVAGANVocoder
from evagan_plugin.checkpoint import files
from evagan_plugin.checkpoint.files import PRETRAINED, list_pretrained, locate
from evagan_plugin.checkpoint.native import load_checkpoint, save_checkpoint
from evagan_plugin.config import config_to_dict, load_preset
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.inference.third_party import open_vocoder

SIZE = 25_000_000
"""All weights together (bytes)."""


@pytest.fixture
def shelf(tmp_path, monkeypatch, config, generator) -> Path:
    """A small model under a name of its own, in the place of those that the package brings."""
    save_checkpoint(tmp_path / "shelf" / "small", config, generator)
    (tmp_path / "shelf" / "unfinished").mkdir()
    monkeypatch.setattr(files, "PRETRAINED", tmp_path / "shelf")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "shelf"


def test_a_name_is_its_directory_and_a_path_that_exists_wins(shelf, tmp_path):
    assert list_pretrained() == ["small"]
    assert locate("small") == shelf / "small"
    (tmp_path / "small").mkdir()
    assert locate("small") == Path("small")


@pytest.mark.parametrize("opened", [open_vocoder, EVAGANVocoder.load, EVAGANVocoder.from_pretrained])
def test_a_name_opens_like_a_checkpoint(shelf, generator, opened):
    mel = torch.randn(80, 5)
    with torch.no_grad():
        expected = generator(mel.unsqueeze(0)).view(-1)
    assert torch.allclose(opened("small").synthesize(mel), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            "smal",
            "there is no checkpoint smal, and no pretrained model of that name: did you mean 'small'? Known: small",
        ),
        ("eva_gan_big_44k", "preset eva_gan_big_44k has no weights yet; pretrained: small"),
        ("exp/small", "there is no checkpoint exp/small"),
        ("small.pth", "there is no checkpoint small.pth"),
    ],
)
def test_what_is_neither_is_told_in_one_line(shelf, evagan, tmp_path, model, said):
    (tmp_path / "mel.npy").write_bytes(b"")
    assert evagan("synth", model, "mel.npy", "out") == (2, "", f"evagan: error: {said}\n")
    with pytest.raises(UsageError) as caught:
        EVAGANVocoder.load(model)
    assert str(caught.value) == said


def test_a_typo_is_not_looked_for_on_the_hub(shelf):
    with pytest.raises(UsageError, match="did you mean 'small'"):
        EVAGANVocoder.from_pretrained("smal")


def test_a_preset_and_weights_that_do_not_fit_are_told_in_one_line(shelf, evagan, tmp_path):
    (tmp_path / "other.yaml").write_text("preset: eva_gan_mini_16k\n")
    status, _, error = evagan("convert", "small", "out", "--config", "other.yaml")
    assert status != 0
    assert error.count("\n") == 1
    assert "small/model.safetensors does not fit the config" in error
    assert not (tmp_path / "out").exists()


def test_names_are_written_out_for_the_hosts(shelf, evagan, tmp_path):
    status, out, error = evagan("convert", "small", tmp_path / "for_espnet", "--to", "espnet")
    assert (status, error) == (0, "")
    assert "16000 Hz" in out
    state = torch.load(tmp_path / "for_espnet" / "model.pth", weights_only=True)
    assert any(name.startswith("gan.generator.") for name in state)


@pytest.mark.parametrize("preset", sorted({"eva_gan_tiny_16k", *(path.name for path in PRETRAINED.glob("*"))}))
def test_what_ships_is_its_preset_with_finite_weights_and_a_card(preset):
    config, generator = load_checkpoint(PRETRAINED / preset)
    for section in ("mel", "generator"):
        assert config_to_dict(config)[section] == config_to_dict(load_preset(preset))[section]
    assert all(value.dtype == torch.float32 for value in generator.state_dict().values())
    card = (PRETRAINED / preset / "README.md").read_text(encoding="utf-8")
    for part in ("Training data", "Licence", "steps", "PESQ"):
        assert part in card
    assert sum(path.stat().st_size for path in PRETRAINED.rglob("*")) < SIZE


def test_info_marks_presets_with_weights(evagan, monkeypatch, tmp_path):
    (tmp_path / "eva_gan_tiny_22k").mkdir()
    (tmp_path / "eva_gan_tiny_22k" / "model.safetensors").touch()
    monkeypatch.setattr(files, "PRETRAINED", tmp_path)
    for preset, marked in (("eva_gan_tiny_22k", True), ("eva_gan_tiny_16k", False)):
        status, out, _ = evagan("info", preset)
        assert status == 0
        assert out.splitlines()[0].endswith("weights")
        assert out.splitlines()[1].endswith("yes") == marked


def test_weights_that_are_damaged_are_told(shelf):
    (shelf / "small" / "model.safetensors").write_bytes(b"{}")
    with pytest.raises(EvaganError, match="damaged or truncated"):
        open_vocoder("small")
