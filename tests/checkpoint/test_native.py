"""Checkpoints of ours: round trips, foreign prefixes, and what is missing."""

import subprocess
import sys

import pytest
import torch

from evagan_plugin.checkpoint.convert import open_checkpoint
from evagan_plugin.checkpoint.native import check_same_config, save_checkpoint
from evagan_plugin.config import build_config, dump_config, load_preset
from evagan_plugin.errors import ConfigError, EvaganError, UsageError
from evagan_plugin.inference.eva_gan import EVAGANVocoder


def test_a_saved_generator_sounds_the_same_and_can_be_trained_on(saved, config, generator):
    mel = torch.randn(1, 80, 10)
    loaded_config, loaded = open_checkpoint(saved)
    assert loaded_config == config
    assert torch.allclose(loaded(mel), generator(mel), atol=1e-6)
    assert {name for name, _ in loaded.named_parameters()} == {name for name, _ in generator.named_parameters()}


def test_saving_does_not_depend_on_weight_norm(tmp_path, saved, config):
    _, generator = open_checkpoint(saved)
    save_checkpoint(tmp_path / "again", config, generator.remove_weight_norm())
    left, right = (open_checkpoint(folder)[1].state_dict() for folder in (saved, tmp_path / "again"))
    assert all(torch.allclose(left[name], right[name], atol=1e-6) for name in left)


def test_a_training_checkpoint_of_a_host_opens_whatever_its_prefix(tmp_path, config, generator):
    state = {f"tts.vocoder.{name}": value for name, value in generator.state_dict().items()}
    torch.save({"model": state | {"tts.other": torch.zeros(1)}, "step": 3}, tmp_path / "best.pth")
    dump_config(config, tmp_path / "config.yaml")
    mel = torch.randn(1, 80, 10)
    assert torch.allclose(open_checkpoint(tmp_path / "best.pth")[1](mel), generator(mel), atol=1e-6)
    del state["tts.vocoder.context.norm.bias"]
    torch.save({"model": state}, tmp_path / "best.pth")
    with pytest.raises(EvaganError, match=r"tts\.vocoder\.context\.norm\.bias is missing"):
        open_checkpoint(tmp_path / "best.pth")


def test_a_checkpoint_of_another_config_names_the_fields(config):
    other = build_config({"preset": "eva_gan_mini_16k", "mel": {"f_max": 8000}, "generator": {"channels": 128}})
    with pytest.raises(ConfigError) as caught:
        check_same_config(config, other, "x.pth")
    assert "mel.f_max: 7600.0 != 8000.0" in str(caught.value) and "generator.channels: 64 != 128" in str(caught.value)
    memory = build_config({"preset": "eva_gan_base_44k", "generator": {"checkpointing": True}})
    check_same_config(load_preset("eva_gan_base_44k"), memory, "x.pth")


def test_missing_parts_are_told(tmp_path, saved):
    with pytest.raises(UsageError, match="no checkpoint"):
        open_checkpoint(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"has no model\.safetensors"):
        open_checkpoint(tmp_path)
    (saved / "config.yaml").unlink()
    with pytest.raises(ConfigError, match=r"no config.yaml beside"):
        open_checkpoint(saved)


def test_an_unwritable_place_is_one_line_and_leaves_nothing(tmp_path, config, generator):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EvaganError, match="cannot write"):
        save_checkpoint(tmp_path / "file" / "model", config, generator)


def test_the_vocoder_returns_exact_lengths(saved):
    vocoder = EVAGANVocoder.load(saved)
    assert vocoder.sample_rate == 16000 and vocoder.mel_config.n_mels == 80 and vocoder.mel is vocoder.mel_config
    assert vocoder.synthesize(torch.zeros(80, 7)).shape == (7 * 256,)
    assert vocoder.synthesize(torch.zeros(2, 80, 7)).shape == (2, 7 * 256)
    for samples in (1, 100, 255, 256, 5000):
        assert vocoder.resynthesize(0.1 * torch.randn(samples), 16000).shape == (samples,)
    assert vocoder.resynthesize(torch.zeros(2, 800), 8000).shape == (2, 1600)


def test_the_vocoder_saves_what_it_loaded(saved, tmp_path):
    vocoder = EVAGANVocoder.load(saved)
    mel = torch.randn(80, 9)
    expected = vocoder.synthesize(mel)
    vocoder.save(tmp_path / "copy")
    assert torch.allclose(EVAGANVocoder.load(tmp_path / "copy").synthesize(mel), expected, atol=1e-6)


@pytest.mark.parametrize("wav", [torch.zeros(0), torch.full((100,), torch.nan), torch.zeros(1, 1, 100)])
def test_bad_waveforms_are_told(saved, wav):
    with pytest.raises(UsageError):
        EVAGANVocoder.load(saved).resynthesize(wav, 16000)


def test_a_device_that_is_not_there_is_told(saved):
    with pytest.raises(UsageError, match="device 'nonsense' is not available"):
        EVAGANVocoder.load(saved, device="nonsense")


def test_a_checkpoint_of_ours_passes_through_no_translation(saved, generator, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("translated")

    monkeypatch.setattr("evagan_plugin.checkpoint.convert.translated", refuse)
    mel = torch.randn(1, 80, 10)
    for path in (saved, saved / "model.safetensors"):
        assert torch.allclose(open_checkpoint(path)[1](mel), generator(mel), atol=1e-6)


def test_the_config_of_a_checkpoint_is_read_without_torch(saved, config):
    code = (
        "import sys; from evagan_plugin.checkpoint.files import load_config_of; "
        f"print(load_config_of({str(saved)!r}).generator.channels, 'torch' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == f"{config.generator.channels} False\n"
