"""The inference benchmark: operations and sizes are the networks' own, times belong to equal work."""

import json

import pytest
import torch
import typer
from typer.testing import CliRunner

from evagan_plugin.benchmark.inference import MIB, build, inference
from evagan_plugin.benchmark.rivals import HIFIGAN, RIVALS, espnet_hifigan
from evagan_plugin.config import load_preset
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.evaluation.cost import inspect_generator
from evagan_plugin.evaluation.speed import audio_seconds, frames_of, gflops_per_second, measure
from evagan_plugin.inference.eva_gan import EVAGANVocoder

pytest.importorskip("espnet2", reason="the extra 'espnet' is not installed")


def test_espnets_hifigan_costs_what_the_same_network_costs_as_a_preset():
    preset = load_preset("hifigan_v1_22k")
    theirs = gflops_per_second(espnet_hifigan(preset.mel), preset.mel)
    assert theirs == pytest.approx(inspect_generator(preset).gflops_per_second, rel=1e-3)


def test_rounds_are_interleaved_and_the_first_does_not_count():
    order = []
    systems = {name: (lambda name=name: order.append(name) or torch.zeros(1)) for name in ("a", "b")}
    times = measure(systems, rounds=2)
    assert order == ["a", "b"] * 3
    assert {name: len(taken) for name, taken in times.items()} == {"a": 2, "b": 2}


def test_audio_is_whole_frames():
    mel = load_preset("eva_gan_mini_16k").mel
    assert frames_of(mel, 1.0) == 62
    assert audio_seconds(mel, 1.0) == pytest.approx(62 * 256 / 16000)
    assert frames_of(mel, 1e-6) == 1


@pytest.mark.parametrize("name", list(RIVALS))
def test_rivals_are_of_their_published_size(name):
    millions = {HIFIGAN: 13.94, "HiFi-GAN v1 (Coqui TTS)": 13.94, "Vocos 24 kHz": 13.53, "BigVGAN-v2 24 kHz": 112.4}
    try:
        mel, generator = build(name)
    except UsageError:
        raise
    except EvaganError as error:
        pytest.skip(str(error))
    assert sum(tensor.numel() for tensor in generator.parameters()) / 1e6 == pytest.approx(millions[name], rel=0.01)
    with torch.no_grad():
        samples = generator(torch.zeros(1, mel.n_mels, 8)).shape[-1]
    assert samples in (8 * mel.hop_length, 7 * mel.hop_length)  # Vocos centres its frames


def test_the_command_sets_engines_and_generators_side_by_side(tmp_path):
    app = typer.Typer()
    app.command()(inference)
    threads = torch.get_num_threads()
    preset = "eva_gan_tiny_16k"
    options = f"--preset {preset} --seconds 0.2 --rounds 1 --threads 1".split()
    try:
        result = CliRunner().invoke(app, [*options, "--rival", HIFIGAN, "--out", str(tmp_path)], catch_exceptions=False)
    finally:
        torch.set_num_threads(threads)
    rows = json.loads((tmp_path / "inference.json").read_text())
    assert [(row["generator"], row["engine"]) for row in rows] == [
        (HIFIGAN, "torch"), (preset, "torch"), (preset, "onnxruntime")
    ]  # fmt: skip
    assert rows[0]["ratio"] == 1.0 and rows[0]["first_audio"] is None
    assert rows[1]["ratio"] == pytest.approx(rows[1]["factor"] / rows[0]["factor"])
    assert rows[1]["gflops"] == pytest.approx(inspect_generator(load_preset(preset)).gflops_per_second, 1e-3)
    assert MIB < rows[0]["peak"] < 2000 * MIB
    assert all(0 <= row["peak"] < rows[0]["peak"] for row in rows[1:])
    assert rows[1]["first_audio"] == pytest.approx(EVAGANVocoder.load(preset).latency(1))
    assert (tmp_path / "inference.md").read_text() in result.stdout
    assert (tmp_path / "inference.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"seconds": 0.0}, "must be positive"),
        ({"threads": [0]}, "must be positive"),
        ({"engine": ["onxruntime"]}, "did you mean 'onnxruntime'"),
        ({"device": "cuda", "engine": ["torch", "onnxruntime"]}, "--engine onnxruntime runs on the CPU"),
        ({"rival": ["Vocos"]}, "unknown rival 'Vocos'"),
        ({"preset": ["eva_gan_tiny"]}, "eva_gan_tiny"),
    ],
)
def test_nothing_to_measure_is_refused(options, reason):
    with pytest.raises(UsageError, match=reason):
        inference(**options)
