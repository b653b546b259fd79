"""Listening tests made of synthetic audio, and servers as processes of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from listening_bench import RATE, Made, Server, tone

from evagan_plugin.listening.create import create_test
from evagan_plugin.listening.design.options import ListeningOptions


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[..., dict[str, Path]]:
    """Make folders ``reference`` and one per system, holding ``count`` utterances ``utt00``, ``utt01``, ..."""

    def make(systems: tuple[str, ...] = ("good", "bad"), count: int = 4, seconds: float = 1.2) -> dict[str, Path]:
        folders = {name: tmp_path / "corpus" / name for name in ("reference", *systems)}
        noise = np.random.default_rng(99)
        for place, (_, folder) in enumerate(folders.items()):
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                wav = tone(seconds, number)
                wav = 0.6**place * (wav + 0.01 * place * noise.standard_normal(len(wav)).astype(np.float32))
                soundfile.write(folder / f"utt{number:02d}.wav", wav, RATE)
        return folders

    return make


@pytest.fixture
def make_test(corpus, tmp_path: Path) -> Callable[..., Made]:
    """Make a listening test of a synthetic corpus; options are those of ``ListeningOptions``."""

    def make(
        systems: tuple[str, ...] = ("good", "bad"),
        count: int = 4,
        seconds: float = 1.2,
        database: str | None = None,
        **options: object,
    ) -> Made:
        folders = corpus(systems, count, seconds)
        out = tmp_path / "test"
        create_test(
            out,
            folders["reference"],
            {name: folders[name] for name in systems},
            ListeningOptions(**({"raters": 3} | options)),
            database,
        )
        return Made(out, database)

    return make


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers; they end with the test."""
    started: list[Server] = []

    def start(made: Made, *options: object) -> Server:
        started.append(Server(made, *options))
        return started[-1]

    yield start
    for server in started:
        server.stop()
