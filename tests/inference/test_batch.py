"""Synthesis of what a user points at: which way round mels lie in it, and what is said of those that lie otherwise."""

import numpy as np
import pytest
import soundfile

from evagan_plugin.config import build_config
from evagan_plugin.errors import UsageError
from evagan_plugin.inference.batch import find_items, synthesize_all
from evagan_plugin.inference.vocoder import EVAGANVocoder
from evagan_plugin.model.generator import EVAGANGenerator

FRAMES, BANDS, HOP = 7, 80, 256


@pytest.fixture(scope="module")
def vocoder() -> EVAGANVocoder:
    generator = {"context": "none", "channels": 64, "resblock_kernels": [3], "resblock_dilations": [1]}
    config = build_config({"preset": "eva_gan_tiny_16k", "generator": generator})
    return EVAGANVocoder(config, EVAGANGenerator.from_config(config))


@pytest.mark.parametrize("listed", [True, False], ids=["feats.scp", "file"])
@pytest.mark.parametrize("swapped", [False, True])
def test_mels_lie_frames_first_in_a_list_and_bands_first_in_a_file(listed, swapped, vocoder, tmp_path):
    path, scp = tmp_path / "u.npy", tmp_path / "feats.scp"
    np.save(path, np.zeros((FRAMES, BANDS) if listed != swapped else (BANDS, FRAMES), np.float32))
    scp.write_text(f"u {path}\n")
    failed = synthesize_all(vocoder, find_items(scp if listed else path), tmp_path / "out")
    if swapped:
        assert f"{path}: " in failed["u"]
        assert "frames and bands are swapped" in failed["u"]
        assert not (tmp_path / "out").exists()
    else:
        assert failed == {}
        assert soundfile.info(tmp_path / "out" / "u.wav").frames == FRAMES * HOP


def test_a_directory_is_its_files_and_without_them_its_table(tmp_path):
    (tmp_path / "wav.scp").write_text("u elsewhere/u.wav\n")
    (tmp_path / "feats.scp").write_text("u feats.ark:12\n")
    assert [(item.source, item.frames_first) for item in find_items(tmp_path)] == [("elsewhere/u.wav", True)]
    (tmp_path / "a.wav").write_bytes(b"")
    assert [item.source for item in find_items(tmp_path)] == [str(tmp_path / "a.wav")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="nothing to synthesise"):
        find_items(tmp_path / "empty")
