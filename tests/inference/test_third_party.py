"""BigVGAN and Vocos from local files, beside what their own packages give."""

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from peers import VOCOS, write_vocos
from torch import nn

from evagan_plugin.benchmark import rivals
from evagan_plugin.checkpoint.native import save_checkpoint
from evagan_plugin.config import load_preset
from evagan_plugin.errors import ConfigError, EvaganError, UsageError
from evagan_plugin.inference.third_party import open_third_party, open_vocoder
from evagan_plugin.model.generator import EVAGANGenerator

SMALL = {"upsample_rates": [4] * 4, "upsample_kernel_sizes": [8] * 4, "upsample_initial_channel": 32}
BIGVGAN = rivals.BIGVGAN | SMALL | {"resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3, 5]]}
"""A small one, of the published kind."""


@pytest.fixture
def vocos(tmp_path: Path) -> nn.Module:
    """A small Vocos; its files lie under ``tmp_path``."""
    return write_vocos(tmp_path)


@pytest.fixture
def bigvgan(tmp_path: Path) -> nn.Module:
    """A small BigVGAN; its files lie under ``tmp_path``."""
    package = pytest.importorskip("bigvgan", reason="the extra 'bigvgan' is not installed")
    (tmp_path / "config.json").write_text(json.dumps(BIGVGAN))
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the old weight_norm
        model = package.BigVGAN(package.AttrDict(BIGVGAN)).eval()
    for name, tensor in model.named_parameters():
        if name.endswith("weight_g"):
            tensor.data *= 4
    torch.save({"generator": model.state_dict()}, tmp_path / "bigvgan_generator.pt")
    return model


@pytest.fixture
def wav() -> torch.Tensor:
    """A chirp of 0.2 s at 24 kHz, no whole number of frames (1, T)."""
    time = torch.arange(4800) / 24000
    return 0.3 * torch.sin(2 * torch.pi * (200 + 4000 * time) * time).unsqueeze(0)


@pytest.mark.parametrize("padding", ["center", "same"])
def test_vocos_gives_what_its_package_gives(tmp_path: Path, vocos: nn.Module, wav: torch.Tensor, padding: str):
    for part in (vocos.feature_extractor, vocos.head.istft):
        part.padding = padding
    vocos.feature_extractor.mel_spec.center = vocos.feature_extractor.mel_spec.spectrogram.center = padding == "center"
    settings = {name: dict(part) for name, part in VOCOS.items()}
    for name in ("feature_extractor", "head"):
        settings[name]["init_args"] = settings[name]["init_args"] | {"padding": padding}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    vocoder = open_third_party(f"vocos:{tmp_path}")
    whole = torch.nn.functional.pad(wav, (0, -wav.shape[-1] % 256))
    mel = vocos.feature_extractor(whole)
    ours = vocoder.mel_spectrogram(whole.unsqueeze(1))
    assert torch.allclose(ours, mel, atol=1e-3)
    assert torch.allclose(vocoder.synthesize(mel), vocos.decode(mel), atol=1e-5)
    again = vocoder.resynthesize(wav, 24000)
    assert again.shape == wav.shape
    assert torch.allclose(again, vocos(whole)[..., : wav.shape[-1]], atol=1e-2 * float(again.abs().max()))


def test_bigvgan_gives_what_its_package_gives(tmp_path: Path, bigvgan: nn.Module, wav: torch.Tensor):
    vocoder = open_third_party(f"bigvgan:{tmp_path}")
    whole = torch.nn.functional.pad(wav, (0, -wav.shape[-1] % 256))
    package = pytest.importorskip("bigvgan")
    mel = package.get_mel_spectrogram(whole, package.AttrDict(BIGVGAN))
    assert torch.allclose(vocoder.mel_spectrogram(whole.unsqueeze(1)), mel, atol=1e-3)
    with torch.no_grad():
        wanted = bigvgan(mel).squeeze(1)
    assert wanted.std() > 0.01
    assert torch.allclose(vocoder.synthesize(mel), wanted, atol=1e-5)


@pytest.mark.parametrize("kind", ["vocos", "bigvgan"])
def test_synth_writes_wavs_exactly_as_long_as_what_went_in(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest, wav: torch.Tensor, evagan: Callable
):
    request.getfixturevalue(kind)
    (tmp_path / "in").mkdir()
    lengths = (1, 255, 256, 257, 1023, 1024, 4799, 4800)
    for length in lengths:
        soundfile.write(tmp_path / "in" / f"{length}.wav", wav[0, :length].numpy(), 24000)
    status, _, errors = evagan("synth", "--vocoder", f"{kind}:{tmp_path}", tmp_path / "in", tmp_path / "out")
    assert status == 0, errors
    status, _, errors = evagan("synth", f"{kind}:{tmp_path}", tmp_path / "in", tmp_path / "again")
    assert status == 0, errors
    vocoder = open_vocoder(f"{kind}:{tmp_path}")
    for length in lengths:
        out, rate = soundfile.read(tmp_path / "out" / f"{length}.wav", dtype="float32")
        assert (len(out), rate) == (length, 24000)
        wanted = vocoder.resynthesize(soundfile.read(tmp_path / "in" / f"{length}.wav")[0], 24000)
        assert np.abs(out - wanted.numpy()).max() < 1e-3
        assert (tmp_path / "again" / f"{length}.wav").read_bytes() == (tmp_path / "out" / f"{length}.wav").read_bytes()


@pytest.mark.parametrize("option", [["--vocoder", "vocos:x"], ["--vocoder=vocos:x"]])
def test_synth_counts_its_paths(evagan: Callable, option: list[str]):
    for arguments in ([*option, "model", "in", "out"], ["model", "in", *option, "out"]):
        status, _, errors = evagan("synth", *arguments)
        assert status == 2 and "unexpected extra argument" in errors and errors.count("\n") == 1
    status, _, errors = evagan("synth", *option, "in")
    assert status == 2 and "'OUT_DIR'" in errors
    status, _, errors = evagan("synth", "in", "out")
    assert status == 2 and "'OUT_DIR'" in errors


@pytest.mark.parametrize("spec", ["bigvgam:x", "vocos", "vocos:"])
def test_an_unknown_kind_names_the_known(spec: str):
    with pytest.raises(UsageError, match=r"(?i)known: bigvgan, vocos"):
        open_third_party(spec)


def test_one_name_opens_ours_and_others(tmp_path: Path, vocos: nn.Module):
    config = load_preset("eva_gan_mini_16k")
    save_checkpoint(tmp_path / "ours", config, EVAGANGenerator.from_config(config))
    assert open_vocoder(tmp_path / "ours").config == config
    assert open_vocoder(f"vocos:{tmp_path}", dtype="float64").dtype is torch.float64
    trained, random = (open_vocoder(tmp_path / "ours", untrained=one).generator.state_dict() for one in (False, True))
    assert any(not torch.equal(trained[name], random[name]) for name in trained)
    with pytest.raises(UsageError, match="untrained"):
        open_vocoder(f"vocos:{tmp_path}", untrained=True)
    with pytest.raises(UsageError, match="did you mean 'vocos'"):
        open_vocoder(f"vocoss:{tmp_path}")
    with pytest.raises(UsageError, match=f"there is no checkpoint {tmp_path}/none"):
        open_vocoder(tmp_path / "none")


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(UsageError, match=r"there is no file .*bigvgan_generator\.pt"):
        open_third_party(f"bigvgan:{tmp_path}")


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("config.json", "bigvgan_generator.pt"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setitem(sys.modules, "bigvgan", None)
    with pytest.raises(EvaganError, match=r"evagan-plugin\[bigvgan\]"):
        open_third_party(f"bigvgan:{tmp_path}")


def test_a_config_of_vocos_calls_nothing_but_vocos(tmp_path: Path, vocos: nn.Module):
    settings = VOCOS | {"head": {"class_path": "os.mkdir", "init_args": {"path": str(tmp_path / "ran")}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ConfigError) as caught:
        open_third_party(f"vocos:{tmp_path}")
    assert caught.value.field == "head.class_path"
    assert not (tmp_path / "ran").exists()


def test_weights_that_do_not_fit_are_listed(tmp_path: Path, vocos: nn.Module):
    state = vocos.state_dict()
    del state["head.out.bias"]
    torch.save(state | {"extra": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(EvaganError, match=r"head\.out\.bias is missing; extra is unexpected"):
        open_third_party(f"vocos:{tmp_path}")
