"""``evagan synth MODEL - -``: standard input to standard output; and ``--chunk_frames`` for files."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from evagan_plugin.audio.io import quantise
from evagan_plugin.config import build_config
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.inference.eva_gan import EVAGANVocoder
from evagan_plugin.inference.stdio import synthesize_stdio
from evagan_plugin.model.generator import EVAGANGenerator

HOP, BANDS, RATE, FRAMES = 256, 80, 16000, 30
PROGRAM = [sys.executable, "-c", "from evagan_plugin.cli import main; main()", "synth"]


@pytest.fixture(scope="module")
def vocoder() -> EVAGANVocoder:
    torch.manual_seed(0)
    small = {"context": {"dims": [16], "depths": [2]}}
    config = build_config({"preset": "eva_gan_tiny_16k_causal", "generator": small})
    return EVAGANVocoder(config, EVAGANGenerator.from_config(config))


@pytest.fixture(scope="module")
def model(vocoder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    vocoder.save(folder)
    return folder


@pytest.fixture(scope="module")
def mel() -> torch.Tensor:
    return (torch.randn(BANDS, FRAMES, generator=torch.Generator().manual_seed(1)) - 5.0).clamp(min=-11)


def frames_of(mel: torch.Tensor) -> bytes:
    return mel.T.contiguous().numpy().astype("<f4").tobytes()


def pcm_of(wav: torch.Tensor) -> bytes:
    return quantise(wav.numpy(), 2**15)[0].astype("<i2").tobytes()


def close(ours: bytes, theirs: bytes) -> bool:
    """Whether two PCM streams are as long and differ by the last bit at most."""
    one, other = (np.frombuffer(stream, "<i2").astype(int) for stream in (ours, theirs))
    return len(one) == len(other) and abs(one - other).max() <= 1


def piped(vocoder: EVAGANVocoder, sent: bytes, **options) -> bytes:
    sink = io.BytesIO()
    synthesize_stdio(vocoder, io.BytesIO(sent), sink, **options)
    return sink.getvalue()


def test_each_chunk_goes_out_before_the_next_comes_in(model, vocoder, mel):
    """And a stream that ends in the middle of a frame is told, after what was whole."""
    sent = frames_of(mel)
    program = subprocess.Popen(
        [*PROGRAM, str(model), "-", "-", "--chunk_frames", "4", "--initial_frames", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    got, size, place = b"", BANDS * 4, 0
    for frames in (1, 4, 4):
        program.stdin.write(sent[place : place + frames * size])
        program.stdin.flush()
        place += frames * size
        got += program.stdout.read(frames * HOP * 2)  # waits for ever where nothing is written
    rest, errors = program.communicate(sent[place:] + b"12345", timeout=300)
    assert close(got + rest, pcm_of(vocoder.synthesize(mel)))
    assert program.returncode == 1
    assert errors.decode() == (f"evagan: error: standard input ends in the middle of frame {FRAMES}: 5 of 320 bytes\n")


def test_audio_comes_out_as_long_as_it_was(vocoder):
    wav = 0.1 * torch.randn(5000, generator=torch.Generator().manual_seed(2))
    sent = pcm_of(wav)
    heard = torch.from_numpy(np.frombuffer(sent, "<i2").astype(np.float32) / 2**15)
    assert close(piped(vocoder, sent, kind="pcm"), pcm_of(vocoder.resynthesize(heard, RATE)))
    with pytest.raises(EvaganError, match="ends in the middle of sample 5000: 1 of 2 bytes"):
        piped(vocoder, sent + b"1", kind="pcm")


def test_a_frame_that_is_not_finite_ends_it(vocoder, mel):
    broken = mel.clone()
    broken[3, 20] = torch.nan
    with pytest.raises(UsageError, match=r"standard input, frames from 0 on: mel: values that are not finite"):
        piped(vocoder, frames_of(broken))


@pytest.mark.parametrize("kind", ["mel", "pcm"])
def test_nothing_on_standard_input(vocoder, kind):
    with pytest.raises(UsageError, match=f"standard input has no {'frame' if kind == 'mel' else 'sample'}"):
        piped(vocoder, b"", kind=kind)


def test_a_full_disk_is_told(vocoder, mel):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with (
        open("/dev/full", "wb") as full,
        pytest.raises(EvaganError, match="standard output cannot be written: No space left on device"),
    ):
        synthesize_stdio(vocoder, io.BytesIO(frames_of(mel)), full)


def test_an_output_that_nobody_reads_is_one_line(model, mel):
    nobody, out = os.pipe()
    os.close(nobody)
    done = subprocess.run(
        [*PROGRAM, str(model), "-", "-"], input=frames_of(mel), stdout=out, stderr=subprocess.PIPE, check=False
    )
    os.close(out)
    assert done.returncode == 1
    assert done.stderr.decode() == "evagan: error: standard output cannot be written: Broken pipe\n"


def test_standard_streams_that_are_closed_are_told(model):
    for closed in ("0<&-", "1>&-"):
        done = subprocess.run(
            ["bash", "-c", f'"$@" {closed}', "bash", *PROGRAM, str(model), "-", "-"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        which = "input" if closed[0] == "0" else "output"
        assert (done.returncode, done.stderr) == (2, f"evagan: error: standard {which} is closed\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-", "out"], "SOURCE - and OUT_DIR - go together"),
        (["mel.npy", "-"], "SOURCE - and OUT_DIR - go together"),
        (["mel.npy", "out", "--initial_frames", "2"], "--initial_frames is for standard input"),
        (["mel.npy", "out", "--stdin", "pcm"], "--stdin is for standard input"),
        (["-", "-", "--stdin", "wav"], "'wav' is not one of"),
        (["-", "-", "--chunk_frames", "0"], "greater than or equal to 1"),
    ],
)
def test_wrong_arguments(evagan, model, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mel.npy").touch()
    status, _, errors = evagan("synth", model, *arguments)
    assert status == 2
    assert said in errors and errors.count("\n") == 1


@pytest.mark.parametrize("kind", ["mel", "audio"])
def test_files_by_chunks_give_the_same_files(kind, evagan, model, mel, tmp_path):
    source = tmp_path / ("u.npy" if kind == "mel" else "u.wav")
    if kind == "mel":
        np.save(source, mel.numpy())
    else:
        soundfile.write(source, 0.1 * np.random.default_rng(0).standard_normal(9000), 22050)
    whole, chunks = (tmp_path / name for name in ("whole", "chunks"))
    assert evagan("synth", model, source, whole)[0] == 0
    assert evagan("synth", model, source, chunks, "--chunk_frames", 3)[0] == 0
    one, other = (soundfile.read(folder / "u.wav", dtype="int16")[0].astype(int) for folder in (whole, chunks))
    assert len(one) == len(other) and abs(one - other).max() <= 1 and abs(one).max() > 10
