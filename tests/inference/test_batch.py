"""Synthesis of what a user points at: which way round mels lie in it, and what is said of those that lie otherwise."""

import numpy as np
import pytest
import soundfile

from evagan_plugin.config import build_config
from evagan_plugin.data.utterances import find_utterances
from evagan_plugin.inference.batch import synthesize_all
from evagan_plugin.inference.vocoder import EVAGANVocoder
from evagan_plugin.model.generator import EVAGANGenerator

FRAMES, BANDS, HOP = 7, 80, 256


@pytest.fixture(scope="module")
def vocoder() -> EVAGANVocoder:
    generator = {"context": "none", "channels": 64, "resblock_kernels": [3], "resblock_dilations": [1]}
    config = build_config({"preset": "eva_gan_mini_16k", "generator": generator})
    return EVAGANVocoder(config, EVAGANGenerator.from_config(config))


@pytest.mark.parametrize("listed", [True, False], ids=["feats.scp", "file"])
@pytest.mark.parametrize("swapped", [False, True])
def test_mels_lie_frames_first_in_a_list_and_bands_first_in_a_file(listed, swapped, vocoder, tmp_path):
    path, scp = tmp_path / "u.npy", tmp_path / "feats.scp"
    np.save(path, np.zeros((FRAMES, BANDS) if listed != swapped else (BANDS, FRAMES), np.float32))
    scp.write_text(f"u {path}\n")
    failed = synthesize_all(vocoder, find_utterances(scp if listed else path, features=True), tmp_path / "out")
    if swapped:
        assert f"{path}: " in failed["u"]
        assert "frames and bands are swapped" in failed["u"]
        assert not (tmp_path / "out").exists()
    else:
        assert failed == {}
        assert soundfile.info(tmp_path / "out" / "u.wav").frames == FRAMES * HOP
