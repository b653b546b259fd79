"""Generated signals whose scores are known, and small corpora of them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

SAMPLE_RATE = 22050


def make_voice(seconds: float = 1.2, pitch: float = 150.0, sample_rate: int = SAMPLE_RATE, seed: int = 0) -> np.ndarray:
    """Harmonics with vibrato in syllables, a breath of noise between them: speech to a pitch tracker and to PESQ."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.03 * np.sin(2 * np.pi * 5 * time))) / sample_rate
    harmonics = sum(np.sin(order * phase) / order for order in range(1, int(0.4 * sample_rate / pitch)))
    syllables = np.clip(1.5 * np.sin(2 * np.pi * 2 * time + 0.5), 0, 1)
    breath = 0.01 * generator.standard_normal(time.size)
    return (0.3 * harmonics * syllables + breath).astype(np.float32)


def with_noise(wav: np.ndarray, decibels: float, seed: int = 1) -> np.ndarray:
    """Add white noise at a signal-to-noise ratio."""
    noise = np.random.default_rng(seed).standard_normal(wav.size)
    return (wav + noise * np.sqrt(np.mean(wav**2) / 10 ** (decibels / 10))).astype(np.float32)


def write_corpus(folder: Path, waves: Mapping[str, np.ndarray], sample_rate: int = SAMPLE_RATE) -> Path:
    """Write float WAVs ``<utt_id>.wav``."""
    folder.mkdir(parents=True, exist_ok=True)
    for utt_id, wav in waves.items():
        soundfile.write(folder / f"{utt_id}.wav", wav, sample_rate, subtype="FLOAT")
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Return a maker of a reference of voices and of the same with noise."""

    def make(count: int = 3, decibels: float = 20.0) -> tuple[Path, Path]:
        voices = {f"utt{index}": make_voice(0.6, 120 + 20 * (index % 10), seed=index) for index in range(count)}
        noisy = {key: with_noise(wav, decibels, seed=index) for index, (key, wav) in enumerate(voices.items())}
        return write_corpus(tmp_path / "ref", voices), write_corpus(tmp_path / "noisy", noisy)

    return make
