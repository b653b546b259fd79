"""Engines: a vocoder on onnxruntime is a vocoder like any other, and says in one line what it cannot do."""

import re
import sys

import numpy as np
import pytest
import soundfile
import torch
from exports import small_model

from evagan_plugin import EVAGANVocoder, open_vocoder
from evagan_plugin.checkpoint.native import save_checkpoint
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.evaluation.models import measure_costs
from evagan_plugin.inference.export import export
from evagan_plugin.inference.onnx_engine import OnnxGenerator

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A checkpoint ``voc``, its export ``voc.onnx``, a foreign and a truncated ONNX file, a mel ``mel.npy``."""
    folder = tmp_path_factory.mktemp("engine")
    config, generator = small_model()
    save_checkpoint(folder / "voc", config, generator)
    export(config, generator, folder / "voc.onnx", source=str(folder / "voc"))
    content = (folder / "voc.onnx").read_bytes()
    for name, part in (("cut", content[: len(content) // 2]), ("empty", b""), ("text", b"no ONNX\n")):
        (folder / f"{name}.onnx").write_bytes(part)
    foreign = onnx.load_model_from_string(content)
    onnx.helper.set_model_props(foreign, {"model_type": "vocos"})
    onnx.save(foreign, folder / "foreign.onnx")
    altered = onnx.load_model_from_string(content)
    props = {entry.key: entry.value for entry in altered.metadata_props}
    onnx.helper.set_model_props(altered, props | {"config": '{"mel": {"n_mells": 3}}'})
    onnx.save(altered, folder / "altered.onnx")
    np.save(folder / "mel.npy", (torch.randn(10, 30) * 2.0 - 5.5).clamp(min=-11).numpy())
    return folder


@pytest.fixture
def inside(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


def test_every_way_to_open_one_gives_the_waveform_of_pytorch(inside):
    mel = torch.randn(2, 10, 40) * 2.5 - 5
    wanted = EVAGANVocoder.load("voc").synthesize(mel)
    for opened in (
        EVAGANVocoder.load("voc.onnx"),
        EVAGANVocoder.load("voc", engine="onnxruntime", threads=2),
        open_vocoder("voc.onnx", dtype="auto"),
        open_vocoder("voc", engine="onnxruntime", dtype="auto"),
        EVAGANVocoder.from_pretrained("voc", engine="onnxruntime", threads=1),
    ):
        assert isinstance(opened.generator, OnnxGenerator)
        assert opened.config.mel == opened.mel_config == EVAGANVocoder.load("voc").mel_config
        wav = opened.synthesize(mel)
        assert torch.allclose(wav, wanted, atol=1e-5)
        assert torch.allclose(opened.synthesize(mel[0]), wanted[0], atol=1e-5)
        wav *= 0.5
    noise = 0.1 * torch.randn(2003)
    copies = [EVAGANVocoder.load(path).resynthesize(noise, 8000) for path in ("voc", "voc.onnx")]
    assert copies[0].shape == (2003,) and torch.allclose(*copies, atol=1e-5)


def test_untrained_is_the_same_on_both_engines(inside):
    mel = torch.randn(10, 20) * 2.5 - 5
    wavs = [open_vocoder("voc", untrained=True, engine=name).synthesize(mel) for name in ("torch", "onnxruntime")]
    assert torch.allclose(*wavs, atol=1e-5)
    assert torch.allclose(open_vocoder("voc.onnx", untrained=True).synthesize(mel), wavs[0], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "onxruntime"}, "unknown engine 'onxruntime': did you mean 'onnxruntime'?"),
        ({"engine": "onnxruntime", "device": "cuda"}, "engine onnxruntime computes on the CPU"),
        ({"engine": "onnxruntime", "dtype": torch.bfloat16}, "in float32, not in bfloat16"),
        ({"threads": 0}, "threads: 0 is not a number of threads"),
    ],
)
def test_an_engine_that_cannot_is_said_before_a_model_is_looked_for_on_the_hub(options, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        EVAGANVocoder.from_pretrained("user/name", **options)


def test_it_checks_what_goes_in_as_ever(inside):
    vocoder = EVAGANVocoder.load("voc.onnx")
    with pytest.raises(UsageError, match="frames and bands are swapped"):
        vocoder.synthesize(torch.zeros(30, 10))
    with pytest.raises(UsageError, match="not finite"):
        vocoder.synthesize(torch.full((10, 30), torch.nan))


def test_threads_are_pytorch_s_unless_told(inside):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        options = [EVAGANVocoder.load("voc.onnx", threads=n).generator.session.get_session_options() for n in (None, 1)]
        assert [one.intra_op_num_threads for one in options] == [2, 1]
        assert torch.get_num_threads() == 2
        EVAGANVocoder.load("voc", threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_condition_goes_through(tmp_path):
    config, generator = small_model(global_channels=3)
    export(config, generator, tmp_path / "voc.onnx")
    save_checkpoint(tmp_path / "voc", config, generator)
    opened = OnnxGenerator(tmp_path / "voc.onnx")
    mel, condition = torch.randn(2, 10, 9), torch.randn(2, 3, 1)
    with torch.no_grad():
        assert torch.allclose(opened(mel, condition), generator(mel, condition), atol=1e-5)
        assert not torch.allclose(opened(mel, condition), generator(mel), atol=1e-3)
    with pytest.raises(UsageError, match="no condition is given, but the exported generator takes one"):
        EVAGANVocoder.load(tmp_path / "voc.onnx").synthesize(mel)
    # Without one, as PyTorch does it.
    wavs = [EVAGANVocoder.load(tmp_path / "voc", engine=name).synthesize(mel) for name in ("torch", "onnxruntime")]
    assert torch.allclose(*wavs, atol=1e-5)
    with pytest.raises(UsageError, match="a condition is given, but the exported generator takes none"):
        EVAGANVocoder.load(tmp_path / "voc", engine="onnxruntime").generator(mel, condition)


def test_the_command_synthesises_with_either_engine(inside, evagan, tmp_path):
    wavs = {}
    for name, arguments in {
        "torch": ("voc",),
        "file": ("voc.onnx",),
        "engine": ("voc", "--engine", "onnxruntime", "--threads", 1),
    }.items():
        status, out, errors = evagan("synth", arguments[0], "mel.npy", tmp_path / name, *arguments[1:])
        assert status == 0 and errors.startswith("synth: 1 done in ") and errors.count("\n") == 1, errors
        assert out == f"1 of 1 utterances written to {tmp_path}/{name}\n"
        wavs[name], rate = soundfile.read(tmp_path / name / "mel.wav", dtype="int16")
        assert rate == 8000 and len(wavs[name]) == 240
    for name in ("file", "engine"):
        assert np.abs(wavs[name].astype(int) - wavs["torch"]).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["voc", "--engine", "onxruntime"], 2, "unknown engine 'onxruntime': did you mean 'onnxruntime'?"),
        (["voc", "--threads", "0"], 2, "threads"),
        (["none.onnx"], 2, "there is no checkpoint none.onnx"),
        (["cut.onnx"], 1, "cut.onnx is no ONNX file, or damaged or truncated"),
        (["empty.onnx"], 1, "empty.onnx is no ONNX file, or damaged or truncated"),
        (["text.onnx"], 1, "text.onnx is no ONNX file, or damaged or truncated"),
        (["foreign.onnx"], 1, "foreign.onnx is not an ONNX file that `evagan export` wrote (model_type 'vocos')"),
        (["altered.onnx"], 1, "altered.onnx: the config inside cannot be read: unknown config field 'mel.n_mells'"),
        (["voc.onnx", "--engine", "torch"], 2, "engine torch cannot open voc.onnx"),
        (["voc.onnx", "--config", "voc/config.yaml"], 2, "voc.onnx has its config inside: leave voc/config.yaml out"),
        (["voc.onnx", "--device", "cuda"], 2, "engine onnxruntime computes on the CPU here, not on 'cuda'"),
        (
            ["voc", "--engine", "onnxruntime", "--dtype", "bfloat16"],
            2,
            "onnxruntime computes in float32, not in bfloat16",
        ),
        (["vocos:voc", "--engine", "onnxruntime"], 2, "there is no file voc/pytorch_model.bin"),
    ],
)
def test_what_cannot_be_opened_is_one_line(arguments, status, message, inside, evagan, tmp_path):
    ended, out, errors = evagan("synth", arguments[0], "mel.npy", tmp_path / "out", *arguments[1:])
    assert (ended, out) == (status, "")
    assert message in errors and errors.count("\n") == 1, errors
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["pack", "convert"])
def test_an_export_is_no_checkpoint(command, inside, evagan, tmp_path):
    status, out, errors = evagan(command, "voc.onnx", tmp_path / "out")
    assert (status, out) == (2, "")
    assert "voc.onnx" in errors and "the checkpoint that it was made of" in errors and errors.count("\n") == 1
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="no weights to save"):
        EVAGANVocoder.load("voc.onnx").save(tmp_path / "out")


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_the_extra_a_line_names_it_and_pytorch_works_as_ever(missing, inside, evagan, tmp_path, monkeypatch):
    class Missing:
        def find_spec(self, name, *_):
            if name == missing:
                raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.delitem(sys.modules, missing)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    for arguments in (
        ("export", "voc", tmp_path / "out.onnx"),
        ("synth", "voc.onnx", "mel.npy", tmp_path / "out"),
        ("synth", "voc", "mel.npy", tmp_path / "out", "--engine", "onnxruntime"),
    ):
        wanted = f"evagan: error: the package '{missing}' is not installed: pip install 'evagan-plugin[onnx]'\n"
        assert evagan(*arguments) == (1, "", wanted)
    assert not any(tmp_path.iterdir())
    assert evagan("synth", "voc", "mel.npy", tmp_path / "out")[0] == 0


def test_costs_of_an_export_are_those_of_its_config(inside):
    vocoders = {"torch": EVAGANVocoder.load("voc"), "onnx": EVAGANVocoder.load("voc.onnx")}
    costs = measure_costs(vocoders, {"torch": "voc", "onnx": "voc.onnx"}, "cpu", 1).by_system
    assert costs["onnx"].parameters == costs["torch"].parameters
    assert costs["onnx"].gflops_per_second == pytest.approx(costs["torch"].gflops_per_second)
    assert costs["onnx"].real_time_factor > 0


def test_a_mel_that_onnxruntime_cannot_compute_is_told(inside):
    generator = EVAGANVocoder.load("voc.onnx").generator
    with pytest.raises(EvaganError, match="onnxruntime: "):
        generator(torch.zeros(1, 11, 4))
