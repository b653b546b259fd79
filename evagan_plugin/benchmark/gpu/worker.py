"""Measurements in a process of their own: what hangs, crashes or runs out of memory costs one of them."""

import gc
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from evagan_plugin.errors import EvaganError
from evagan_plugin.utils.processes import end_with_parent


class Worker:
    """Calls functions one after another in a process, which starts with the first and again after its end.

    Args:
        deadline: Time of ``time.monotonic`` at which nothing is waited for any more.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._process: multiprocessing.Process | None = None
        self._connection: Connection | None = None

    def __call__(self, function: Callable, arguments: dict[str, Any], seconds: float) -> Any:
        """Return what a function gives, within so many seconds (those of the start among them).

        Args:
            function: Can be pickled, as its arguments and result.
            arguments: By name.
            seconds: After which its process is killed; the start of one does not count.

        Raises:
            EvaganError: If it gives nothing; in words why.
        """
        try:
            self.start()
            self._connection.send((function, arguments))
            result, reason = self._answer(seconds)
        except (OSError, EOFError):
            self._process.join()
            status = self._process.exitcode
            self.stop()
            raise EvaganError(f"its process died: {signal.strsignal(-status) if status < 0 else status}") from None
        if reason:
            raise EvaganError(reason)
        return result

    def start(self) -> None:
        """Have a process that is ready; raises :class:`EvaganError` if that takes until the deadline."""
        if self._process is not None:
            return
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs,), daemon=True)
        try:
            process.start()
            self._process = process
            theirs.close()
            self._answer(self.deadline)
        except (OSError, EOFError) as error:
            self.stop()
            raise EvaganError(f"its process did not start: {error or 'it died'}") from error

    def stop(self) -> None:
        """Kill the process, whatever it does; the next call has a new one."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
        self._process = self._connection = None

    def _answer(self, seconds: float) -> Any:
        start = time.monotonic()
        if not self._connection.poll(max(min(seconds, self.deadline - start), 0.0)):
            self.stop()
            raise EvaganError(f"stopped after {time.monotonic() - start:.0f} s")
        return self._connection.recv()


def _serve(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other process's business
    threading.Thread(target=end_with_parent, daemon=True).start()
    connection.send(None)  # ready: what this module imports is there
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        connection.send(_outcome(function, arguments))
        gc.collect()
        torch.cuda.empty_cache()


def _outcome(function: Callable, arguments: dict[str, Any]) -> tuple[Any, str]:
    """Return a result, or the reason in words why there is none."""
    try:
        return function(**arguments), ""
    except (torch.OutOfMemoryError, MemoryError):
        return None, "out of memory"
    except Exception as error:  # of one measurement: the others go on
        lines = str(error).splitlines() or [""]
        return None, f"failed: {type(error).__name__}: {lines[0]:.200}"
