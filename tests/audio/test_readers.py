"""Odd files: whatever a reader throws costs one item, and its line names the file."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from evagan_plugin.audio.io import load_audio, read_header
from evagan_plugin.config import load_preset
from evagan_plugin.data.utterances import find_utterances
from evagan_plugin.errors import EvaganError, LibraryError, library_errors
from evagan_plugin.inference.batch import synthesize_all
from evagan_plugin.inference.vocoder import Vocoder

RATE = 16000
TONE = (0.1 * np.sin(np.arange(RATE) / 9)).astype(np.float32)


def write_raw(path: Path) -> Path:
    path = path.with_suffix(".raw")
    path.write_bytes(bytes(1000))
    return path


def write_cut_flac(path: Path) -> Path:
    path = path.with_suffix(".flac")
    soundfile.write(path, TONE, RATE)
    path.write_bytes(path.read_bytes()[:60])
    return path


def write_adpcm_header(path: Path) -> Path:
    path = path.with_suffix(".wav")
    soundfile.write(path, TONE, RATE)
    content = bytearray(path.read_bytes())
    content[20:22] = (0x7777).to_bytes(2, "little")
    path.write_bytes(content)
    return path


def write_folder(path: Path) -> Path:
    path = path.with_suffix(".wav")
    path.mkdir()
    return path


ODD = [write_raw, write_cut_flac, write_adpcm_header, write_folder]


@pytest.mark.parametrize("write", ODD)
@pytest.mark.parametrize("read", [load_audio, read_header])
def test_every_reader_says_it_in_one_line_with_the_file(write, read, tmp_path):
    path = write(tmp_path / "odd")
    with pytest.raises(EvaganError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("write", ODD)
def test_one_odd_file_costs_itself_alone(write, tmp_path, evagan):
    odd = write(tmp_path / "odd")
    soundfile.write(tmp_path / "good.wav", TONE, RATE)
    for name in ("ref", "sys"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "wav.scp").write_text(f"bad {odd}\ngood {tmp_path}/good.wav\n")
    status, _, err = evagan("format", tmp_path / "ref", tmp_path / "out", "--sample-rate", RATE, "--skip-broken")
    assert status == 0, err
    assert (tmp_path / "out" / "wav.scp").read_text().split()[0] == "good"
    ours = ["score", tmp_path / "ref", f"x={tmp_path / 'sys'}", "--metrics", "log_mel_l1", "--out", tmp_path / "s"]
    assert evagan(*ours)[0] == 1
    status, _, err = evagan(*ours, "--skip-broken")
    assert status == 0, err
    rows = {row["utt_id"]: row for row in json.loads((tmp_path / "s" / "scores.json").read_text())["utterances"]}
    assert str(odd) in rows["bad"]["problem"] and rows["good"]["values"]["log_mel_l1"] == 0


class GreedyGenerator(torch.nn.Module):
    """Makes silence; asks for more memory than there is for more than 10 frames."""

    def __init__(self, hop_length: int) -> None:
        super().__init__()
        self.hop_length = hop_length

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        if mel.shape[-1] > 10:
            torch.empty(2**50)
        return torch.zeros(len(mel), 1, mel.shape[-1] * self.hop_length)


def test_a_file_too_long_for_the_memory_costs_itself_alone(tmp_path):
    mel = load_preset("eva_gan_tiny_16k").mel
    for name, frames in {"a": 5, "b": 50, "c": 5}.items():
        np.save(tmp_path / f"{name}.npy", np.zeros((mel.n_mels, frames), np.float32))
    vocoder = Vocoder(mel, GreedyGenerator(mel.hop_length), "cpu", torch.float32)
    failed = synthesize_all(vocoder, find_utterances(tmp_path, features=True), tmp_path / "out")
    assert failed.keys() == {"b"} and "b.npy: out of memory" in failed["b"] and "\n" not in failed["b"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.wav", "c.wav", "wav.scp"}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), r"x\.wav: out of memory"),
        (RuntimeError("CUDA out of memory. Tried to\nallocate"), r"x\.wav: out of memory"),
        (TypeError("a\n  b"), r"x\.wav: TypeError: a$"),
        (KeyError(), r"x\.wav: KeyError$"),
    ],
)
def test_the_line_of_a_library_error(error, words):
    with pytest.raises(LibraryError, match=words), library_errors("x.wav"):
        raise error
