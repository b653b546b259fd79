"""The published architectures of these tests have the names and outputs of the hosts' own classes."""

import pytest
import torch
from published import STYLES, EspnetHiFiGAN, HiFiGAN, loud
from test_parity import PARAMS, V3, coqui_config
from torch import Tensor, nn

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")


def check_same(ours: nn.Module, theirs: nn.Module, mel: Tensor) -> None:
    theirs.load_state_dict(loud(ours).state_dict())
    with torch.no_grad():
        wanted = theirs.eval()(mel)
    assert wanted.std() > 0.02
    assert torch.allclose(ours(mel), wanted, atol=1e-5)


def test_espnet():
    hifigan = pytest.importorskip("espnet2.gan_tts.hifigan.hifigan")
    check_same(EspnetHiFiGAN(PARAMS, STYLES["weight_g"]), hifigan.HiFiGANGenerator(**PARAMS), torch.randn(1, 80, 7))


def test_coqui():
    hifigan = pytest.importorskip("TTS.vocoder.models.hifigan_generator")
    params = coqui_config()["generator_model_params"]
    theirs = hifigan.HifiganGenerator(80, 1, **params)
    check_same(HiFiGAN(V3, STYLES["parametrizations"]), theirs, torch.randn(1, 80, 7))
