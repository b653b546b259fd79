"""Small models of other projects, with the files that those projects publish."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

SIZES = {"n_fft": 1024, "hop_length": 256, "padding": "center"}
VOCOS = {
    "feature_extractor": {
        "class_path": "vocos.feature_extractors.MelSpectrogramFeatures",
        "init_args": SIZES | {"sample_rate": 24000, "n_mels": 100},
    },
    "backbone": {
        "class_path": "vocos.models.VocosBackbone",
        "init_args": {"input_channels": 100, "dim": 16, "intermediate_dim": 32, "num_layers": 2},
    },
    "head": {"class_path": "vocos.heads.ISTFTHead", "init_args": SIZES | {"dim": 16}},
}


def write_vocos(folder: Path) -> nn.Module:
    """Make a small Vocos and write its config and weights; skip where Vocos is not installed."""
    package = pytest.importorskip("vocos", reason="the extra 'vocos' is not installed")
    (folder / "config.yaml").write_text(yaml.safe_dump(VOCOS))
    torch.manual_seed(0)
    model = package.Vocos.from_hparams(folder / "config.yaml").eval()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return model
