"""What README shows runs as it stands there."""

import re
import runpy
import sys

import numpy as np
import soundfile
import torch

from evagan_plugin import EVAGANVocoder

SECONDS_AND_RATES = ((5.0, 16000), (4.5, 16000), (0.5, 16000), (1.0, 22050), (2.0, 8000))


def code_under(heading: str, text: str) -> str:
    """Return the first Python block of a section."""
    return re.search(rf"^## {re.escape(heading)}$.*?^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]


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
