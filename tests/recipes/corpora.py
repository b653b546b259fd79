"""What the tests of data preparation have in common: small trees of noise, and the sets made of them."""

from pathlib import Path

import numpy as np
import soundfile

from evagan_plugin.data.kaldi import DataDir

SETS = ("train", "dev", "test")


def read_sets(directory: Path) -> dict[str, DataDir]:
    return {name: DataDir.read(directory / name) for name in SETS}


def speakers(data: DataDir) -> set[str]:
    return set(data.utt2spk.values())


def noise(path: Path, seconds: float = 0.1, rate: int = 8000, channels: int = 1, level: float = 0.1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(0).uniform(-level, level, (int(seconds * rate), channels))
    soundfile.write(path, wave, rate)
