"""What the listening tests share: tones for corpora, a test that was made, and a server in a process of its own."""

import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from evagan_plugin.listening.design.design import ListeningTest, load_design
from evagan_plugin.listening.design.tokens import read_tokens
from evagan_plugin.listening.votes.store import Store, open_store

RATE = 16000
SECONDS_TO_START = 120.0
EVAGAN = "from evagan_plugin.cli import main; main()"
"""The program ``evagan``, for ``python -c``."""


def tone(seconds: float, number: int) -> np.ndarray:
    """A decaying chord with some noise, different for every number; energy above 3.5 kHz, so that the anchor shows."""
    time_axis = np.arange(int(seconds * RATE)) / RATE
    pitches = 180 * 1.06**number * np.array([1, 2, 5, 21])
    chord = np.sin(2 * np.pi * np.outer(pitches, time_axis)).sum(axis=0)
    noise = np.random.default_rng(number).standard_normal(len(time_axis))
    return (0.05 * (chord + 0.5 * noise) * np.exp(-time_axis / seconds)).astype(np.float32)


@dataclass
class Made:
    """A listening test on disk."""

    folder: Path
    database: str | None = None

    @property
    def design(self) -> ListeningTest:
        return load_design(self.folder)

    @property
    def store(self) -> Store:
        return open_store(self.folder, self.design, self.database)

    @property
    def admin(self) -> str:
        return read_tokens(self.folder)["admin"]

    @property
    def tokens(self) -> list[str]:
        with self.store as store:
            return [rater.token for rater in store.raters()]


class Server:
    """``evagan listen serve`` in a process of its own; ``program`` is what Python runs."""

    def __init__(self, made: Made, port: int | None = None, program: str = EVAGAN) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-c", program, "listen", "serve"]
        extra = ["--database", made.database] if made.database else []
        self.process = subprocess.Popen(
            [*command, str(made.folder), "--port", str(self.port), *extra],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.process.stdout.read()}")
            try:
                httpx.get(self.url, timeout=20)
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise RuntimeError("the server did not start")

    def kill(self) -> None:
        """Take the process away without any chance to tidy up."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def interrupt(self) -> str:
        """End the server as Ctrl+C does; return what it printed."""
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=20)[0]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=20)
        self.process.stdout.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
