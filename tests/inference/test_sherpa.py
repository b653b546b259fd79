"""sherpa-onnx speaks through an exported file, and what it could not join is found before."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from exports import small_model

from evagan_plugin.checkpoint.native import save_checkpoint
from evagan_plugin.inference.export import export

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
helper, INT64, FLOAT = onnx.helper, onnx.TensorProto.INT64, onnx.TensorProto.FLOAT

WORDS = "abcdefg"
RATE, BANDS = 8000, 10
SPEAK = """
import sys
import numpy as np
import sherpa_onnx

matcha = sherpa_onnx.OfflineTtsMatchaModelConfig(
    acoustic_model="acoustic.onnx", vocoder=sys.argv[1], lexicon="lexicon.txt", tokens="tokens.txt"
)
config = sherpa_onnx.OfflineTtsConfig(
    model=sherpa_onnx.OfflineTtsModelConfig(matcha=matcha, num_threads=1), silence_scale=1.0
)
assert config.validate()
audio = sherpa_onnx.OfflineTts(config).generate(sys.argv[2], sid=0, speed=1.0)
np.savez("spoken.npz", wav=np.array(audio.samples, np.float32), rate=audio.sample_rate)
"""


def write_acoustic(folder: Path, **metadata: object) -> np.ndarray:
    """Write a model of sherpa-onnx's matcha kind: each token becomes one frame, from a table (tokens, BANDS)."""
    generator = np.random.default_rng(0)
    table = (2 * generator.standard_normal((len(WORDS) + 1, BANDS)) - 5).astype(np.float32)
    inputs = [
        helper.make_tensor_value_info("x", INT64, [1, "tokens"]),
        helper.make_tensor_value_info("x_length", INT64, [1]),
        helper.make_tensor_value_info("noise_scale", FLOAT, [1]),
        helper.make_tensor_value_info("length_scale", FLOAT, [1]),
    ]
    output = helper.make_tensor_value_info("mel", FLOAT, [1, BANDS, "frames"])
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["frames_first"], axis=0),
        helper.make_node("Transpose", ["frames_first"], ["mel"], perm=[0, 2, 1]),
    ]
    graph = helper.make_graph(nodes, "acoustic", inputs, [output], [onnx.numpy_helper.from_array(table, "table")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    frontend = {"jieba": 1, "has_espeak": 0, "use_eos_bos": 0, "pad_id": 0}
    told = {"model_type": "matcha-tts", "version": 1, "n_speakers": 1, "sample_rate": RATE} | frontend | metadata
    helper.set_model_props(model, {key: str(value) for key, value in told.items() if value is not None})
    onnx.save(model, folder / "acoustic.onnx")
    (folder / "tokens.txt").write_text("".join(f"{token} {index}\n" for index, token in enumerate("_" + WORDS)))
    (folder / "lexicon.txt").write_text("".join(f"{word} {word}\n" for word in WORDS))
    return table


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Folder with ``voc.onnx``, where relative paths count from."""
    monkeypatch.chdir(tmp_path)
    config, generator = small_model(upsample_rates=[], head={"istft": {"n_fft": 64, "hop_length": 8}})
    save_checkpoint("voc", config, generator)
    export(config, generator, "voc.onnx", source="voc")
    return generator.eval()


def speak(vocoder: str, text: str) -> subprocess.CompletedProcess:
    """In a process of its own: sherpa-onnx ends it where it does not like a model."""
    pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed (uv sync brings it with the group 'dev')")
    command = [sys.executable, "-c", SPEAK, vocoder, text]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_it_speaks_as_pytorch_does(place, evagan, tmp_path):
    table = write_acoustic(tmp_path)
    assert evagan("info", "voc.onnx", "--acoustic", "acoustic.onnx")[0] == 0
    done = speak("voc.onnx", "a b c d e f g c a b")
    assert done.returncode == 0, done.stderr
    spoken = np.load("spoken.npz")
    assert spoken["rate"] == RATE
    # A blank, token 0, stands before and after each.
    tokens = [0]
    for word in "abcdefgcab":
        tokens += [1 + WORDS.index(word), 0]
    with torch.inference_mode():
        wanted = place(torch.from_numpy(table[tokens].T).unsqueeze(0)).squeeze()
    assert spoken["wav"].shape == wanted.shape == (21 * 8,)
    assert wanted.abs().max() > 1e-3
    assert np.abs(spoken["wav"] - wanted.numpy()).max() < 1e-5


def test_another_rate_is_found_before_sherpa_ends_the_process(place, evagan, tmp_path):
    write_acoustic(tmp_path, sample_rate=16000)
    status, _, errors = evagan("info", "voc.onnx", "--acoustic", "acoustic.onnx")
    assert status == 1
    assert errors == (
        "evagan: error: the mel of acoustic.onnx does not fit voc.onnx: sample_rate is 16000 there and 8000 here\n"
    )
    assert speak("voc.onnx", "a b c").returncode != 0
    assert not (tmp_path / "spoken.npz").exists()


@pytest.mark.parametrize(
    ("metadata", "bands", "message"),
    [
        (
            {"hop_length": 16, "mel_fmax": 3800},
            10,
            "hop_length is 16 there and 8 here; f_max is 3800 there and 4000.0 here",
        ),
        ({"num_mels": 10, "n_fft": 64.0, "window_length": 64, "fmin": 0}, 10, None),
        ({}, 12, "n_mels is 12 there and 10 here"),
        ({"sample_rate": None}, 10, "acoustic.onnx has no sample_rate in its metadata"),
        ({"sample_rate": "fast"}, 10, "acoustic.onnx has no sample_rate in its metadata"),
    ],
)
def test_what_an_acoustic_model_states_is_compared(metadata, bands, message, place, evagan, tmp_path, monkeypatch):
    monkeypatch.setitem(write_acoustic.__globals__, "BANDS", bands)
    write_acoustic(tmp_path, **metadata)
    status, out, errors = evagan("info", "voc.onnx", "--acoustic", "acoustic.onnx")
    if message is None:
        assert (status, errors) == (0, "")
        assert out.endswith(
            "acoustic.onnx fits in sample_rate 8000, n_fft 64, win_length 64, n_mels 10, f_min 0; it does not state "
            "hop_length, f_max, center, scale, filter_norm, preemphasis, log\n"
        )
    else:
        assert status == (2 if "no sample_rate" in message else 1)
        assert message in errors and errors.count("\n") == 1


def test_only_exports_are_compared_and_damage_is_one_line(place, evagan, tmp_path):
    write_acoustic(tmp_path)
    (tmp_path / "cut.onnx").write_bytes((tmp_path / "acoustic.onnx").read_bytes()[:60])
    for arguments, status, message in (
        (("eva_gan_tiny_16k", "--acoustic", "acoustic.onnx"), 2, "compares an exported vocoder (.onnx)"),
        (
            ("acoustic.onnx", "--acoustic", "voc.onnx"),
            1,
            "acoustic.onnx is not an ONNX file that `evagan export` wrote",
        ),
        (("voc.onnx", "--acoustic", "cut.onnx"), 1, "cut.onnx is no ONNX file, or damaged or truncated"),
        (("voc.onnx", "--acoustic", "none.onnx"), 2, "there is no file none.onnx"),
        (("none.onnx",), 2, "there is no file none.onnx"),
    ):
        ended, _, errors = evagan("info", *arguments)
        assert ended == status
        assert message in errors and errors.count("\n") == 1, errors
