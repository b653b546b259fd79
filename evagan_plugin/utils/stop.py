"""Ctrl-C and SIGTERM taken note of, so that a training can finish its step and save before it ends."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

SIGNALS = (signal.SIGINT, signal.SIGTERM)
REPEATED = 5.0
"""Seconds within which a signal that comes again says the same: a launcher passes on what the terminal sent, too."""


class Stop:
    """Whether the process has been asked to stop."""

    asked: int | None = None
    """Number of the signal."""
    since = 0.0
    former: dict[int, Any] | None = None
    """Handlers to put back; None where signals are not listened to."""

    @classmethod
    def listen(cls) -> None:
        """Note signals from now on; one that comes :data:`REPEATED` later or more ends the process as ever.

        Python lets the main thread alone do so: in any other nothing changes.
        """
        if cls.former is None and threading.current_thread() is threading.main_thread():
            cls.former = {number: signal.signal(number, cls._note) for number in SIGNALS}

    @classmethod
    def _note(cls, number: int, frame: object) -> None:
        if cls.asked is None:
            cls.asked, cls.since = number, time.monotonic()
            logging.warning("%s: finishing the step and saving", signal.Signals(number).name)
        elif time.monotonic() - cls.since > REPEATED:
            cls.put_back()
            signal.raise_signal(number)

    @classmethod
    def put_back(cls) -> None:
        """Leave signals to who had them before."""
        for number, handler in (cls.former or {}).items():
            signal.signal(number, handler)
        cls.former = None

    @classmethod
    @contextlib.contextmanager
    def scope(cls) -> Iterator[None]:
        """Leave signals as they were before."""
        cls.asked = None
        try:
            yield
        finally:
            cls.put_back()


def keep_workers(loader: "DataLoader") -> None:
    """Let a loader's workers live on when a terminal or SLURM signals all processes: the step needs its batch.

    They end with the process that they load for.
    """
    loader.worker_init_fn = partial(_begin_worker, loader.worker_init_fn)


def _begin_worker(begin: Callable[[int], None] | None, worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Python's handlers are not told who has sent a signal; who waits for it is.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_by_parent, daemon=True).start()
    if begin is not None:
        begin(worker)


def _end_by_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
