"""A library's function in a process of its own: what kills native code there costs one call and not the run.

This file is also the program of that process, which loads nothing but the library. It reads pickled arguments and
writes pickled answers; when its input ends, which the end of the other process brings about, so does it.
"""

import importlib
import os
import pickle
import signal
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from typing import Any


class ChildDied(Exception):  # noqa: N818 - an outcome that is reported, not a failure of the program
    """The process has ended in the middle of a call; the message says by what."""


class Child:
    """A function of a library, called in a process that starts at once and again after its death.

    Args:
        module: Module of the function.
        function: Its name.
    """

    seconds = 0.0
    """Processor seconds that all calls have taken so far."""

    def __init__(self, module: str, function: str) -> None:
        self._target = (module, function)
        self._process: subprocess.Popen | None = self._start()

    def __call__(self, *arguments: Any) -> Any:
        """Call the function; what it raises is raised here.

        Raises:
            ChildDied: If the process ends in the middle; the next call has a new one.
        """
        process = self._process = self._process or self._start()
        try:
            pickle.dump(arguments, process.stdin, pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
            result, error, seconds = pickle.load(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            status = process.wait()
            self._stop()
            raise ChildDied(signal.strsignal(-status) if status < 0 else f"exit status {status}") from None
        except BaseException:  # an interrupt: the answer will come too late
            self._stop()
            raise
        Child.seconds += seconds
        if error is not None:
            raise error
        return result

    def _stop(self) -> None:
        self._end()
        self._process = None

    def _start(self) -> subprocess.Popen:
        # It sees the modules that this process sees, and not those beside this file.
        paths = os.pathsep.join(path for path in sys.path if path)
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, *self._target],
            env={**os.environ, "PYTHONPATH": paths, "EVAGAN_PLUGIN_AUTOLOAD": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Away from the keyboard: Ctrl-C is this process's business.
            process_group=0,
        )
        self._end = weakref.finalize(self, _end, process)
        return process


def _end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):  # what could not be written any more
            stream.close()


def _serve(module: str, function: str) -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the library prints is no answer
    with suppress(ImportError):  # no files of memory in the user's folder
        resource = importlib.import_module("resource")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    target = getattr(importlib.import_module(module), function)
    while True:
        try:
            arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        start = time.process_time()
        result = error = None
        try:
            result = target(*arguments)
        except Exception as raised:  # is raised where the call was made
            error = raised
        pickle.dump((result, error, time.process_time() - start), answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
