"""Coqui's own HiFi-GAN, after ``evagan convert``, in Coqui's programs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from published import STYLES, HiFiGAN, loud
from test_parity import V3, coqui_config
from tiny_models import TINY_DISCRIMINATOR
from torch import nn
from TTS.utils.synthesizer import Synthesizer

RATE = 1e-5


@pytest.fixture
def published(tmp_path: Path) -> nn.Module:
    """Generator under Coqui's names for the acoustic model's mels; converted, it lies in ``tmp_path / "converted"``."""
    torch.manual_seed(0)
    model = loud(HiFiGAN(V3, STYLES["parametrizations"]))
    (tmp_path / "source").mkdir()
    audio = {"sample_rate": 16000, "mel_fmin": 80.0, "mel_fmax": 7600.0}
    (tmp_path / "source" / "config.json").write_text(json.dumps(coqui_config(**audio)))
    torch.save({"model": model.state_dict()}, tmp_path / "source" / "model.pth")
    return model


@pytest.fixture
def converted(published: nn.Module, evagan: Callable, tmp_path: Path) -> Path:
    """Directory that ``evagan convert --to coqui`` wrote."""
    status, said, errors = evagan("convert", tmp_path / "source/model.pth", tmp_path / "converted", "--to", "coqui")
    assert status == 0, errors
    assert "training from it starts the discriminators fresh" in said
    return tmp_path / "converted"


def test_the_synthesizer_speaks_with_its_voice(published: nn.Module, converted: Path, acoustic: Path):
    synthesizer = Synthesizer(
        tts_checkpoint=str(acoustic / "model.pth"),
        tts_config_path=str(acoustic / "config.json"),
        vocoder_checkpoint=str(converted / "best_model.pth"),
        vocoder_config=str(converted / "config.json"),
    )
    mel = torch.randn(12, 80) - 2
    with torch.no_grad():
        wanted = published(mel.T[None])[0, 0]
    assert wanted.std() > 0.02
    spoken = synthesizer._run_vocoder(mel, "cpu")[0, 0]
    assert spoken.shape == (12 * 256,)
    assert torch.allclose(spoken, wanted, atol=1e-4)


def test_training_starts_from_it_with_fresh_discriminators(
    converted: Path, settings: Callable, program: Callable, tmp_path: Path
):
    content = json.loads((converted / "config.json").read_text())
    vocoder = content["vocoder_conf"] | {"discriminators": TINY_DISCRIMINATOR}
    options = {"vocoder_conf": vocoder, "audio": content["audio"], "epochs": 1, "lr_gen": RATE, "lr_disc": RATE}
    (tmp_path / "config.json").write_text(json.dumps(settings(tmp_path / "out", **options)))
    done = program(
        *("-m", "TTS.bin.train_vocoder", "--config_path", tmp_path / "config.json"),
        *("--restore_path", converted / "best_model.pth"),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "best_model.pth has no discriminators: they start anew" in done.stdout + done.stderr
    (run,) = (tmp_path / "out").iterdir()
    after = torch.load(run / "checkpoint_3.pth", map_location="cpu", weights_only=True)["model"]
    before = torch.load(converted / "best_model.pth", map_location="cpu", weights_only=True)["model"]
    assert any(name.startswith("gan.discriminators.") for name in after)
    steps = [float((after[name] - value).abs().max()) for name, value in before.items()]
    assert 0 < max(steps) < 10 * RATE, "three steps of Adam away from where the published model was"
