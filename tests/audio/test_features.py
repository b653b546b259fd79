"""Features in files: which way round they lie, and what is said of those that are none."""

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from evagan_plugin.audio.features import check_frames, read_features
from evagan_plugin.config import MelConfig
from evagan_plugin.errors import EvaganError, UsageError

MEL = MelConfig(sample_rate=16000, n_fft=1024, hop_length=256, win_length=1024, n_mels=4)
VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)


def kaldi_archive(path: Path, matrix: np.ndarray) -> str:
    """Write a Kaldi archive of one float matrix and return the place of it."""
    head = b"u "
    shape = b"".join(b"\x04" + struct.pack("<i", length) for length in matrix.shape)
    path.write_bytes(head + b"\0BFM " + shape + matrix.astype("<f4").tobytes())
    return f"{path}:{len(head)}"


@pytest.mark.parametrize("kind", ["npy", "pt", "ark"])
@pytest.mark.parametrize("layout", ["bands_first", "frames_first"])
def test_features_come_bands_first_whatever_lies_in_the_file(tmp_path, kind, layout):
    stored = VALUES if layout == "bands_first" else VALUES.T
    path = tmp_path / f"u.{kind}"
    if kind == "npy":
        np.save(path, stored.astype(np.float64))
    elif kind == "pt":
        torch.save(torch.from_numpy(stored.copy()).half(), path)
    else:
        pytest.importorskip("omniio.kaldi")
        path = kaldi_archive(path, stored)
    read = read_features(path, MEL, layout)
    assert read.dtype == torch.float32 and torch.equal(read, torch.from_numpy(VALUES))


def test_a_batch_of_one_is_one_utterance(tmp_path):
    np.save(tmp_path / "u.npy", VALUES[None])
    assert torch.equal(read_features(tmp_path / "u.npy", MEL, "bands_first"), torch.from_numpy(VALUES))


@pytest.mark.parametrize(
    ("shape", "layout", "reason"),
    [
        ((3, 4), "bands_first", r"of shape \(3, 4\), not \(4, frames\): frames and bands are swapped"),
        ((4, 3), "frames_first", r"of shape \(4, 3\), not \(frames, 4\): frames and bands are swapped"),
        ((5, 3), "bands_first", "5 bands are other features"),
        ((3, 5), "frames_first", "5 bands are other features"),
        ((4, 0), "bands_first", "no frames"),
        ((12,), "bands_first", r"1 dimensions, one utterance of \(4, frames\) has 2"),
        ((2, 4, 3), "frames_first", r"3 dimensions, one utterance of \(frames, 4\) has 2"),
    ],
)
def test_a_wrong_shape_is_told_with_the_file(tmp_path, shape, layout, reason):
    path = tmp_path / "u.npy"
    np.save(path, np.zeros(shape, np.float32))
    with pytest.raises(UsageError, match=f"{path}.*{reason}"):
        read_features(path, MEL, layout)


def test_values_that_are_not_finite_are_told(tmp_path):
    np.save(tmp_path / "u.npy", np.where(VALUES == 5, np.inf, VALUES))
    with pytest.raises(UsageError, match=r"u\.npy: features: values that are not finite"):
        read_features(tmp_path / "u.npy", MEL, "bands_first")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("none.npy", None),
        ("text.npy", b"no array"),
        ("cut.npy", b"\x93NUMPY\x01\x00"),
        ("code.npy", pickle.dumps(print)),
        ("text.pt", b"no tensor"),
        ("none.ark:5", None),
    ],
)
def test_what_is_no_array_is_one_line(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(EvaganError, match=f"{name}: not readable as features: .") as caught:
        read_features(tmp_path / name, MEL, "bands_first")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("frames", "fits"), [(8, True), (12, True), (7, False), (13, False)])
def test_features_may_be_two_frames_off(frames, fits):
    if fits:
        check_frames(frames, 2560, 256, "utterance 'u'")
    else:
        with pytest.raises(
            UsageError, match=f"'u' has {frames} frames .* 2560 samples .10.0 frames.: .*teacher forcing"
        ):
            check_frames(frames, 2560, 256, "utterance 'u'")
