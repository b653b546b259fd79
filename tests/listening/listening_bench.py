"""What the listening tests share: tones, a test that was made and its raters, a server and a proxy for it."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np

from evagan_plugin.listening.design.design import ListeningTest, load_design
from evagan_plugin.listening.design.tokens import read_tokens
from evagan_plugin.listening.votes.records import Answer
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


TRUTH = {"good": 4, "bad": 2, "reference": 5, "anchor_3500hz": 1, "check": 3}


def honest(hidden: dict, rng: np.random.Generator) -> float:
    """What a careful rater with some noise answers."""
    if hidden["kind"] == "check":
        return hidden["expected"]["A"][0]
    noise = 0 if hidden["system"] == "reference" else rng.choice([-1, 0, 0, 1])
    return float(np.clip(TRUTH.get(hidden["system"], 3) + noise, 1, 5))


def query(made: Made, text: str) -> list[dict]:
    """Look into the SQLite file past the store, which tells nobody what a trial holds."""
    with closing(sqlite3.connect(made.folder / "votes.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(text)]


def take_part(made: Made, rater: int, score=honest, seconds: float = 20.0, most: int | None = None) -> None:
    """Let the rater with that number answer their trials, all of them or ``most``."""
    rng = np.random.default_rng(rater)
    with made.store as store:
        store.start(rater, "en", "ok", lambda: made.design)
        hidden = {
            row["trial"]: row | {"expected": json.loads(row["expected"] or "null")}
            for row in query(
                made, "select t.id trial, kind, expected, system from trials t join samples s on trial = t.id"
            )
        }
        while most is None or most > 0:
            trials = store.next_trials(rater, 1)
            if not trials:
                return
            known = hidden[trials[0].id]
            store.save(rater, Answer(known["trial"], {"A": score(known, rng)}, {"A": 1}, 1, seconds=seconds))
            most = None if most is None else most - 1


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


@contextmanager
def proxied(server: str, path: str) -> Iterator[str]:
    """Show a server below a path, as nginx's ``location PATH/ { proxy_pass SERVER/; }`` does; all else is 404.

    Yields:
        The address of the path at the proxy.
    """

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            if not self.path.startswith(f"{path}/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            sent = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            target = server + self.path.removeprefix(path)
            got = httpx.request(self.command, target, headers=sent, content=body, timeout=60)
            self.send_response(got.status_code)
            for name, value in got.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # the page has gone
                self.wfile.write(got.content)

        do_GET = do_POST = answer  # noqa: N815  the names that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}{path}"
        proxy.shutdown()
        thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
