"""Damaged input of every kind: exit status 0, 1 or 2, one line, no traceback, nothing half written."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evagan_plugin.config import config_to_dict, dump_config, load_preset
from evagan_plugin.evaluation.scores import Scores

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


def mutated(content: bytes, draw: random.Random, reach: int) -> bytes:
    """Change a few bytes of the first ``reach``: flip, cut, repeat, or put something in."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(max(1, min(reach, len(changed))))
        way = draw.randrange(6)
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
        self.good = {path.name: path.read_bytes() for path in folder.iterdir()}

    def commands(self, name: str) -> list[list[object]]:
        """Return the commands that read a file of that name."""
        here, out = self.folder, self.folder / "out"
        reads_all = [
            ["format", here, out, "--sample-rate", RATE, "--skip-broken"],
            ["score", here, f"x={here}", "--metrics", "log_mel_l1", "--out", out, "--skip-broken"],
        ]
        if name.startswith("config."):
            return [["info", here / name]]
        if name == "manifest.tsv":
            return [[*reads_all[1], "--manifest", here / name]]
        return reads_all[:1] if name == "utt2spk" else reads_all

    def damage(self, number: int) -> tuple[str, list[object]]:
        """Put everything right but one file, and return its name and a command that reads it."""
        draw = random.Random(number)
        for name, content in self.good.items():
            (self.folder / name).write_bytes(content)
        name = draw.choice(sorted(self.good))
        content = self.good[name]
        (self.folder / name).write_bytes(mutated(content, draw, 200 if name.rpartition(".")[2] in SUFFIXES else 10**9))
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
    for path in bench.folder.glob("out/data/*.wav"):
        assert soundfile.info(path).frames, case
    if (kept := bench.folder / "out" / "scores.json").exists():
        Scores.load(kept)


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
