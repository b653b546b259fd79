"""Damaged input of every kind: exit status 0, 1 or 2, one line, no traceback, nothing half written."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from evagan_plugin.checkpoint.native import load_checkpoint, save_checkpoint
from evagan_plugin.config import build_config, config_to_dict, dump_config, load_preset
from evagan_plugin.evaluation.scores import Scores
from evagan_plugin.listening.design.design import load_design
from evagan_plugin.model.generator import EVAGANGenerator

RATE = 16000
SUFFIXES = ("wav", "flac", "ogg")
PIECES = (
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\t",
    b"\n",
    b"\r",
    b" ",
    b"/",
    b"..",
    b"{",
    b"]",
    b'"',
    b"//",
    b"1e999",
)
PIECES += (b"-1", b"nan", b"null", b"0x7fffffff", b"\xe9", b"|", b"[" * 2000, b"&a *a", b"RIFF", b"fLaC", b"OggS")
SECONDS = 120
NUMBER = re.compile(rb"\d+")
NUMBERS = (b"0", b"1", b"-1", b"3", b"1000003", b"99999999999", b"0.5", b"1e-05", b"1e30", b".inf", b"''", b"[]")
MODEL = {"preset": "eva_gan_tiny_16k", "generator": {"context": {"dims": [8], "depths": [1]}, "channels": 16}}
"""As small as a model gets."""
HEADS = {"wav": 200, "flac": 200, "ogg": 200, "npy": 200, "safetensors": 2000}
"""Bytes of a binary file in which what is told of the rest stands; the others are changed anywhere."""


def mutated(content: bytes, draw: random.Random, reach: int) -> bytes:
    """Change a few bytes of the first ``reach``: flip, cut, repeat, put something in, or take another number."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(max(1, min(reach, len(changed))))
        way = draw.randrange(7)
        if way == 0 and changed:
            changed[place : place + 1] = bytes([draw.randrange(256)])
        elif way == 1:
            del changed[place : place + draw.randint(1, 8)]
        elif way == 2:
            changed[place:place] = draw.choice(PIECES)
        elif way == 3:
            changed[place : place + 4] = draw.choice((0, 1, 2**31 - 1, 2**32 - 1)).to_bytes(
                4, draw.choice(("little", "big"))
            )
        elif way == 4:
            changed[place:place] = changed[place : place + draw.randint(1, 40)]
        elif way == 5 and (number := NUMBER.search(changed, place, reach)):
            changed[number.start() : number.end()] = draw.choice(NUMBERS)
        else:
            del changed[draw.randrange(len(changed) + 1) :]
    return bytes(changed)


class Bench:
    """Good input of every kind in a folder, and commands that read it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tone = (0.1 * np.sin(np.arange(RATE // 4) / 9)).astype(np.float32)
        for suffix in SUFFIXES:
            soundfile.write(folder / f"u_{suffix}.{suffix}", tone, RATE)
        soundfile.write(folder / "good.wav", tone, RATE)
        files = {f"u_{suffix}": folder / f"u_{suffix}.{suffix}" for suffix in SUFFIXES} | {"good": folder / "good.wav"}
        (folder / "wav.scp").write_text("".join(f"{key} {path}\n" for key, path in sorted(files.items())))
        (folder / "utt2spk").write_text("".join(f"{key} speaker\n" for key in sorted(files)))
        rows = "".join(f"{key}\tspeech\n" for key in sorted(files))
        (folder / "manifest.tsv").write_text("utt_id\tcategory\n" + rows)
        config = load_preset("eva_gan_tiny_16k")
        dump_config(config, folder / "config.yaml")
        (folder / "config.json").write_text(json.dumps(config_to_dict(config), indent=1))
        self.make_models()
        (folder / "consent.txt").write_text("You may stop at any time.\nNothing is kept but your votes.\n")
        figures = {"systems": {"x": {"metrics": {"pesq_wb": {"value": 2.5e-05}}}}}
        (folder / "scores.json").write_text(json.dumps(figures, indent=1))
        self.good = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def make_models(self) -> None:
        """Write a model of ours, the same as a training saves it, and mels for both."""
        config = build_config(MODEL)
        torch.manual_seed(0)
        generator = EVAGANGenerator.from_config(config)
        save_checkpoint(self.folder / "model", config, generator)
        (self.folder / "run").mkdir()
        weights = {f"gan.generator.{name}": value for name, value in generator.state_dict().items()}
        torch.save({"model": weights, "step": 3, "loss": np.float64(0.5)}, self.folder / "run" / "last.pth")
        (self.folder / "run" / "config.yaml").write_text(json.dumps({"vocoder": "eva_gan", "vocoder_conf": MODEL}))
        (self.folder / "mels").mkdir()
        mel = torch.randn(80, 12) - 5
        np.save(self.folder / "mels" / "a.npy", mel.numpy())
        torch.save(mel, self.folder / "mels" / "b.pt")

    def commands(self, name: str) -> list[list[object]]:
        """Return the commands that read a file of that name."""
        here, out = self.folder, self.folder / "out"
        model = "run/last.pth" if name.startswith("run/") else "model"
        if name.startswith(("run/", "model/")):
            kinds = [
                ["convert", here / model, out],
                ["pack", here / model, out],
                ["synth", here / model, here / "mels", out],
            ]
            return [*kinds, ["convert", here / model, out, "--to", "espnet"]]
        if name.startswith("mels/"):
            return [["synth", here / "model", here / "mels", out]]
        if name == "scores.json":
            return [["pack", here / "model", out, "--scores", here / name]]
        listen = ["listen", "create", f"x={here}", "--reference", here, "--out", out]
        listen += ["--max-seconds", 0.5, "--checks", 0, "--training-items", 0, "--raters", 1]
        if name == "consent.txt":
            return [[*listen, "--consent", here / name]]
        reads_all = [
            ["format", here, out, "--sample-rate", RATE, "--skip-broken"],
            ["score", here, f"x={here}", "--metrics", "log_mel_l1", "--out", out, "--skip-broken"],
        ]
        if name.startswith("config."):
            return [["info", here / name]]
        if name == "manifest.tsv":
            return [[*reads_all[1], "--manifest", here / name], [*listen, "--manifest", here / name]]
        return reads_all[:1] if name == "utt2spk" else [*reads_all, ["synth", here / "model", here, out], listen]

    def damage(self, number: int) -> tuple[str, list[object]]:
        """Put everything right but one file, and return its name and a command that reads it."""
        draw = random.Random(number)
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        for name, content in self.good.items():
            (self.folder / name).write_bytes(content)
        name = draw.choice(sorted(self.good))
        content = self.good[name]
        (self.folder / name).write_bytes(mutated(content, draw, HEADS.get(name.rpartition(".")[2], 10**9)))
        return name, draw.choice(self.commands(name))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("fuzz"))


def check(bench: Bench, number: int, name: str, status: int, err: str) -> None:
    """Check what every command owes its user."""
    case = f"case {number}, {name}: {err}"
    assert status in (0, 1, 2), case
    assert "Traceback" not in err, case
    errors = [line for line in err.splitlines() if "error: " in line]
    assert len(errors) == (status != 0), case
    assert not status or err.rstrip().endswith(errors[0]), case
    assert not [path for path in bench.folder.rglob(".*") if ".part" in path.name], case
    out = bench.folder / "out"
    for path in [*out.glob("data/*.wav"), *out.glob("*.wav")]:
        assert soundfile.info(path).frames, case
    if (kept := out / "scores.json").exists():
        Scores.load(kept)
    if (out / "test.yaml").exists():
        assert load_design(out).items, case
    elif (out / "model.safetensors").exists():
        load_checkpoint(out)
    assert status == 0 or not (out / "test.yaml").exists(), case


def run_cases(bench: Bench, evagan: Callable, numbers: range) -> None:
    for number in numbers:
        name, command = bench.damage(number)
        try:
            status, _, err = evagan(*command)
        except Exception as error:
            raise AssertionError(f"case {number}, {name}: {command[0]} raises {error!r}") from error
        check(bench, number, name, status, err)


def test_a_hundred_damaged_files(bench, evagan):
    run_cases(bench, evagan, range(100))


@pytest.mark.slow
def test_a_thousand_damaged_files(bench, evagan):
    run_cases(bench, evagan, range(100, 1100))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2000, 2004))
def test_a_damaged_file_in_a_process_of_its_own(bench, number):
    name, command = bench.damage(number)
    done = subprocess.run(
        [sys.executable, "-c", "from evagan_plugin.cli import main; main()", *map(str, command)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=dict(os.environ),
        check=False,
    )
    check(bench, number, name, done.returncode, done.stderr)
