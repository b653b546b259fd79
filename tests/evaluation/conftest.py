"""Corpora for the tests of the metrics."""

from collections.abc import Callable
from pathlib import Path

import pytest
from metric_signals import make_voice, with_noise, write_corpus


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Return a maker of a reference of voices and of the same with noise."""

    def make(count: int = 3, decibels: float = 20.0) -> tuple[Path, Path]:
        voices = {f"utt{index}": make_voice(0.6, 120 + 20 * (index % 10), seed=index) for index in range(count)}
        noisy = {key: with_noise(wav, decibels, seed=index) for index, (key, wav) in enumerate(voices.items())}
        return write_corpus(tmp_path / "ref", voices), write_corpus(tmp_path / "noisy", noisy)

    return make
