"""A vocoder that was published for ESPnet (ParallelWaveGAN's HiFi-GAN), after ``evagan convert``, in ESPnet itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from espnet2.bin.tts_inference import Text2Speech
from published import STYLES, EspnetHiFiGAN, loud
from test_parity import PARAMS, PWG, write_pwg
from tiny_models import TINY
from torch import Tensor

from evagan_plugin.checkpoint.tensors import folded
from evagan_plugin.espnet import register

register()

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
SCALES = {"upsample_scales": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4]}
SIZES = {"sampling_rate": 16000, "fft_size": 1024, "hop_size": 256, "win_length": None}


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, Callable[[Tensor], Tensor]]:
    """Pickle, and what it stands for: normalised mels (1, 80, F) in log10 to waveforms."""
    torch.manual_seed(0)
    model = loud(EspnetHiFiGAN(PARAMS | SCALES, STYLES["weight_g"]))
    (tmp_path / "source").mkdir()
    source, mean, scale = write_pwg(tmp_path / "source", model, PWG | SIZES | {"generator_params": PARAMS | SCALES})
    np.save(source.with_name("stats.npy"), torch.cat([mean, scale], dim=1).T.numpy())

    @torch.no_grad()
    def speak(mel: Tensor) -> Tensor:
        return model((mel - mean) / scale)

    return source, speak


def test_text_is_spoken_with_its_voice(published, evagan: Callable, acoustic_model: Path, tmp_path: Path):
    source, speak = published
    assert evagan("convert", source, tmp_path / "ours")[0] == 0
    speaker = Text2Speech(
        acoustic_model / "config.yaml", acoustic_model / "1epoch.pth", vocoder_file=tmp_path / "ours", maxlenratio=1.0
    )
    out = speaker("YES NO")
    wanted = speak(out["feat_gen"].T[None])[0, 0]
    assert out["wav"].shape == wanted.shape == (256 * len(out["feat_gen"]),)
    assert wanted.std() > 0.02
    assert torch.allclose(out["wav"], wanted, atol=1e-4)


def test_training_starts_from_it_with_fresh_discriminators(
    published, evagan: Callable, train: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    status, said, _ = evagan("convert", published[0], tmp_path / "start", "--to", "espnet")
    assert status == 0 and "training from it starts the discriminators fresh" in said
    settings = yaml.safe_load((tmp_path / "start" / "config.yaml").read_text())
    settings["vocoder_conf"]["discriminators"] = TINY["vocoder_conf"]["discriminators"]
    rate = 1e-5
    options = {"init_param": [str(tmp_path / "start" / "model.pth")], "num_iters_per_epoch": 2}
    experiment = train(tmp_path / "exp", settings | options | {"optim_conf": {"lr": rate}})
    assert "model.pth has no discriminators: they start anew" in caplog.text
    before = torch.load(tmp_path / "start" / "model.pth", weights_only=True)
    after = torch.load(experiment / "1epoch.pth", weights_only=True)
    assert any(name.startswith("gan.discriminators.") for name in after)
    generator = {name: value for name, value in after.items() if name in before}
    assert generator.keys() == before.keys()
    steps = [float((generator[name] - value).abs().max()) for name, value in before.items()]
    assert 0 < max(steps) < 10 * rate, "two steps of Adam away from where the published model was"
    assert folded(generator).keys() == folded(before).keys()
