"""Checkpoints: round trips, foreign prefixes, and everything that can be wrong with a file."""

import pickle

import pytest
import torch

from evagan_plugin.checkpoint.native import check_same_config, fill, load_generator, save_checkpoint
from evagan_plugin.config import build_config, dump_config, load_preset
from evagan_plugin.errors import ConfigError, EvaganError, UsageError
from evagan_plugin.inference.vocoder import EVAGANVocoder
from evagan_plugin.model.generator import EVAGANGenerator


@pytest.fixture(scope="module")
def config():
    return build_config({"preset": "eva_gan_tiny_16k", "generator": {"channels": 64, "resblock_kernels": [3]}})


@pytest.fixture(scope="module")
def generator(config):
    torch.manual_seed(0)
    return EVAGANGenerator.from_config(config).eval()


@pytest.fixture
def saved(tmp_path, config, generator):
    save_checkpoint(tmp_path / "model", config, generator)
    return tmp_path / "model"


def test_a_saved_generator_sounds_the_same_and_can_be_trained_on(saved, config, generator):
    mel = torch.randn(1, 80, 10)
    loaded_config, loaded = load_generator(saved)
    assert loaded_config == config
    assert torch.allclose(loaded(mel), generator(mel), atol=1e-6)
    assert {name for name, _ in loaded.named_parameters()} == {name for name, _ in generator.named_parameters()}


def test_saving_does_not_depend_on_weight_norm(tmp_path, saved, config):
    _, generator = load_generator(saved)
    save_checkpoint(tmp_path / "again", config, generator.remove_weight_norm())
    left, right = (load_generator(folder)[1].state_dict() for folder in (saved, tmp_path / "again"))
    assert all(torch.allclose(left[name], right[name], atol=1e-6) for name in left)


def test_a_training_checkpoint_of_a_host_opens_whatever_its_prefix(tmp_path, config, generator):
    state = {f"tts.vocoder.{name}": value for name, value in generator.state_dict().items()}
    torch.save({"model": state | {"tts.other": torch.zeros(1)}, "step": 3}, tmp_path / "best.pth")
    dump_config(config, tmp_path / "config.yaml")
    mel = torch.randn(1, 80, 10)
    assert torch.allclose(load_generator(tmp_path / "best.pth")[1](mel), generator(mel), atol=1e-6)
    del state["tts.vocoder.context.norm.bias"]
    torch.save({"model": state}, tmp_path / "best.pth")
    with pytest.raises(EvaganError, match=r"tts\.vocoder\.context\.norm\.bias is missing"):
        load_generator(tmp_path / "best.pth")


def test_a_truncated_file_is_one_line(saved, tmp_path, generator):
    weights = saved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(EvaganError, match="damaged or truncated"):
        load_generator(saved)
    torch.save(generator.state_dict(), saved / "model.pth")
    (saved / "model.pth").write_bytes((saved / "model.pth").read_bytes()[:-500])
    with pytest.raises(EvaganError, match=r"cannot load .*model\.pth: damaged or truncated"):
        load_generator(saved / "model.pth")


def test_code_in_a_checkpoint_is_refused_and_not_run(saved, tmp_path):
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    (saved / "evil.pth").write_bytes(pickle.dumps(Evil()))
    torch.save({"model": Evil()}, saved / "evil2.pth")
    for name in ("evil.pth", "evil2.pth"):
        with pytest.raises(EvaganError, match="cannot load"):
            load_generator(saved / name)
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


def test_a_checkpoint_of_another_config_names_the_fields(config):
    other = build_config({"preset": "eva_gan_tiny_16k", "mel": {"f_max": 8000}, "generator": {"channels": 128}})
    with pytest.raises(ConfigError) as caught:
        check_same_config(config, other, "x.pth")
    assert "mel.f_max: 7600.0 != 8000.0" in str(caught.value) and "generator.channels: 64 != 128" in str(caught.value)
    memory = build_config({"preset": "eva_gan_base_44k", "generator": {"checkpointing": True}})
    check_same_config(load_preset("eva_gan_base_44k"), memory, "x.pth")


def test_missing_parts_are_told(tmp_path, saved):
    with pytest.raises(UsageError, match="no checkpoint"):
        load_generator(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"has no model\.safetensors"):
        load_generator(tmp_path)
    (saved / "config.yaml").unlink()
    with pytest.raises(ConfigError, match=r"no config.yaml beside"):
        load_generator(saved)


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
