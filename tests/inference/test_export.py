"""Export: what is written says the same as PyTorch, at any size, and what would not is not written."""

import json

import numpy as np
import pytest
import torch
from exports import small_model

from evagan_plugin import __version__
from evagan_plugin.checkpoint.native import save_checkpoint
from evagan_plugin.config import MelConfig, VocoderConfig, build_config, config_to_dict, load_preset
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.inference import export as export_module
from evagan_plugin.inference.export import TOLERANCE, export
from evagan_plugin.inference.exported import export_format, read_facts
from evagan_plugin.model.generator import EVAGANGenerator

pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")

HEADS = {
    "waveform": {"upsample_rates": [4, 2]},
    "istft": {"upsample_rates": [], "head": {"istft": {"n_fft": 64, "hop_length": 8}}, "normalize": True},
    "both": {"upsample_rates": [2], "head": {"istft": {"n_fft": 16, "hop_length": 4}}},
    "hifigan": {"upsample_rates": [4, 2], "context": "none", "activation": "leaky_relu", "upsample_kernels": [8, 5]},
    "condition": {"upsample_rates": [4, 2], "global_channels": 3},
}


def inputs(config: VocoderConfig, items: int, frames: int) -> dict[str, torch.Tensor]:
    values = {"mel": torch.randn(items, config.mel.n_mels, frames) * 2.5 - 5}
    channels = config.generator.global_channels
    return values | ({"condition": torch.randn(items, channels, 1)} if channels else {})


@pytest.mark.parametrize("head", HEADS)
def test_onnx_equals_pytorch_at_any_size(head, tmp_path):
    config, generator = small_model(**HEADS[head])
    difference = export(config, generator, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == [*inputs(config, 1, 1)]
    assert difference <= TOLERANCE
    for items, frames in ((1, 1), (3, 1), (1, 37), (2, 150)):
        values = inputs(config, items, frames)
        with torch.inference_mode():
            wanted = generator(**values)
        (wav,) = session.run(["wav"], {name: value.numpy() for name, value in values.items()})
        assert wav.shape == (items, 1, frames * 8)
        assert np.abs(wav - wanted.numpy()).max() < 1e-5


@pytest.mark.parametrize("head", ["istft", "condition"])
def test_pt2_equals_pytorch_at_any_size(head, tmp_path):
    config, generator = small_model(**HEADS[head])
    export(config, generator, tmp_path / "model.pt2")
    told = {"metadata.json": ""}
    opened = torch.export.load(tmp_path / "model.pt2", extra_files=told).module()
    for items, frames in ((1, 1), (3, 1), (2, 150)):
        values = inputs(config, items, frames)
        with torch.inference_mode():
            assert torch.allclose(opened(*values.values()), generator(**values), atol=1e-6)
    assert build_config(json.loads(json.loads(told["metadata.json"])["config"])) == config


def test_the_file_carries_the_contract_and_where_its_weights_are_from(tmp_path):
    config, generator = small_model()
    save_checkpoint(tmp_path / "voc", config, generator)
    export(config, generator, tmp_path / "model.onnx", source=str(tmp_path / "voc"))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    assert (told["model_type"], told["sample_rate"], told["hop_length"], told["n_mels"]) == (
        "hifigan",
        "8000",
        "8",
        "10",
    )
    mel = json.loads(told["mel"])
    assert mel == config_to_dict(config.mel) | {"f_max": 4000.0}
    assert MelConfig(**mel).upper_edge == config.mel.upper_edge
    facts = read_facts(tmp_path / "model.onnx")
    assert facts.config == config
    assert (facts.version, facts.source) == (__version__, "voc/model.safetensors")
    assert len(facts.weights_sha256) == 64


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
@pytest.mark.parametrize("wrong", [1.0, float("nan")])
def test_a_file_that_differs_is_not_left(kind, wrong, tmp_path, monkeypatch):
    """What is written is another generator's: an exporter that has gone wrong."""
    config, generator = small_model()
    written = f"_write_{kind}" if kind == "pt2" else "onnx_model"
    other = small_model()[1].remove_weight_norm().eval()
    torch.nn.init.constant_(other.upsampler.post.bias, wrong)
    made = getattr(export_module, written)
    monkeypatch.setattr(export_module, written, lambda _, *rest: made(other, *rest))
    with pytest.raises(EvaganError, match=r"not written: its waveforms would differ from PyTorch's by .* than 1e-05"):
        export(config, generator, tmp_path / f"model.{kind}")
    assert not any(tmp_path.iterdir())


def test_the_format_is_named_by_the_suffix_or_agrees_with_it():
    assert export_format("a.onnx") == export_format("a.ONNX", "onnx") == "onnx"
    assert export_format("a.b.pt2") == "pt2"
    with pytest.raises(UsageError, match="unknown format 'onx': did you mean 'onnx'"):
        export_format("a.onnx", "onx")
    with pytest.raises(UsageError, match=r"a\.pt2 would be onnx: end its name in \.onnx"):
        export_format("a.pt2", "onnx")
    with pytest.raises(UsageError, match=r"a: of which format\? End its name in \.onnx or \.pt2"):
        export_format("a")


def test_the_command_exports_and_says_how_exact(evagan, tmp_path):
    config, generator = small_model()
    save_checkpoint(tmp_path / "voc", config, generator)
    status, out, errors = evagan("export", tmp_path / "voc", tmp_path / "model.onnx", "--format", "onnx")
    assert (status, errors) == (0, "")
    assert out.startswith(f"{tmp_path}/model.onnx: ") and "from PyTorch, at 1, 7, 300 frames" in out
    status, out, errors = evagan("info", tmp_path / "model.onnx")
    assert (status, errors) == (0, "")
    assert "sample_rate 8000" in out and "voc/model.safetensors" in out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["voc", "model.onnx", "--format", "onnxx"], 2, "unknown format 'onnxx': did you mean 'onnx'?"),
        (["none", "model.onnx"], 2, "there is no checkpoint none"),
        (["eva_gan_tiny_16", "model.onnx"], 2, "did you mean 'eva_gan_tiny_16k'"),
        (["voc", "model.onnx", "--config", "other.yaml"], 1, "does not fit the config"),
        (["voc", "model.bin"], 2, "End its name in .onnx or .pt2"),
        (["voc/model.safetensors", "file/model.onnx"], 1, "cannot write file/model.onnx"),
        (["cut.safetensors", "model.onnx", "--config", "voc/config.yaml"], 1, "damaged or truncated"),
        (["made.onnx", "model.onnx"], 2, "made.onnx is an export"),
    ],
)
def test_a_bad_export_is_one_line_and_leaves_no_file(arguments, status, message, evagan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, generator = small_model()
    save_checkpoint("voc", config, generator)
    save_checkpoint("other", *small_model(channels=32))
    (tmp_path / "other" / "config.yaml").rename("other.yaml")
    (tmp_path / "file").write_text("")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "voc" / "model.safetensors").read_bytes()[:-100])
    (tmp_path / "made.onnx").write_bytes(b"")
    before = set(tmp_path.rglob("*"))
    ended, out, errors = evagan("export", *arguments)
    assert (ended, out) == (status, "")
    assert message in errors and errors.count("\n") == 1, errors
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["eva_gan_base_24k", "eva_gan_base_44k", "hifigan_v1_22k", "firefly_gan_base_44k"])
def test_presets_export(name, tmp_path):
    config = load_preset(name)
    torch.manual_seed(0)
    assert export(config, EVAGANGenerator.from_config(config), tmp_path / "model.onnx") <= TOLERANCE
