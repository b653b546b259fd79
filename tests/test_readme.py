"""What README shows runs as it stands there."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from evagan_plugin import EVAGANVocoder
from evagan_plugin.audio.io import quantise
from evagan_plugin.data.mix import Schedule, read_mix

SECONDS_AND_RATES = ((5.0, 16000), (4.5, 16000), (0.5, 16000), (1.0, 22050), (2.0, 8000))


def code_under(heading: str, text: str, language: str = "python") -> str:
    """Return the first block of a section in a language."""
    block = rf"^## {re.escape(heading)}$.*?^```{language}\n(.*?)^```$"
    return re.search(block, text, re.MULTILINE | re.DOTALL)[1]


def test_training_in_plain_pytorch(repository, tmp_path, monkeypatch, capsys):
    script = tmp_path / "train.py"
    script.write_text(code_under("Training in plain PyTorch", (repository / "README.md").read_text(encoding="utf-8")))
    generator = np.random.default_rng(0)
    for index, (seconds, rate) in enumerate(SECONDS_AND_RATES):
        path = tmp_path / "wavs" / f"speaker{index % 2}" / f"{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * generator.standard_normal(int(seconds * rate)), rate)
    torch.manual_seed(0)
    monkeypatch.setattr(sys, "argv", ["train.py", str(tmp_path / "wavs"), str(tmp_path / "out"), "1"])
    left = runpy.run_path(str(script), run_name="__main__")

    assert re.fullmatch(r"epoch 1: mel loss \d\.\d{3}\n", capsys.readouterr().out)
    steps = -(-len(SECONDS_AND_RATES) // 4)
    taken = [{int(state["step"]) for state in optimizer.state.values()} for _, optimizer in left["steps"]]
    assert taken == [set(), {steps}]  # the discriminators start later: training.discriminator_start_steps
    mel = torch.randn(80, 12)
    with torch.no_grad():
        trained = left["gan"].generator(mel.unsqueeze(0)).squeeze()
    assert torch.allclose(EVAGANVocoder.load(tmp_path / "out").synthesize(mel), trained, atol=1e-6)


@pytest.fixture
def recordings(repository, tmp_path, monkeypatch) -> Path:
    """A folder to stand in that has the recording which the README's lines read."""
    path = tmp_path / "egs" / "mini_an4" / "voc1" / "dump" / "test" / "data" / "fcaw-cen8-fcaw-b.wav"
    path.parent.mkdir(parents=True)
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_streaming(repository, recordings, capsys):
    text = (repository / "README.md").read_text(encoding="utf-8")
    script = recordings / "stream.py"
    script.write_text(code_under("Streaming", text))
    left = runpy.run_path(str(script))
    whole = left["vocoder"].synthesize(left["mel"])
    assert torch.allclose(torch.cat(left["wavs"]), whole, atol=1e-5)
    assert capsys.readouterr().out == "23 frames of lookahead, 0.50 s of latency\n"

    (recordings / "mel.f32").write_bytes(left["mel"].T.contiguous().numpy().tobytes())
    commands = re.search(r"^## Streaming$.*?^```$.*?^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-ec", commands], check=True, env=os.environ | {"PATH": path})
    heard = np.frombuffer((recordings / "speech.s16").read_bytes(), "<i2")
    assert abs(heard.astype(int) - quantise(whole.numpy(), 2**15)[0]).max() <= 1
    assert len((recordings / "copy.s16").read_bytes()) == 2 * len(heard)


def test_the_mix_is_one(repository, tmp_path):
    path = tmp_path / "mix.yaml"
    path.write_text(code_under("Mixing corpora", (repository / "README.md").read_text(encoding="utf-8"), "yaml"))
    mix = read_mix(path)
    assert Schedule([source.share for source in mix.used]).counts == [10, 9, 1]
    assert mix.valid == "dump/dev" and mix.sources[2].gain_db == -6
