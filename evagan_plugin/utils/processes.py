"""Work in several processes that an interrupt ends at once and that do not outlive the one that started them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import torch

from evagan_plugin.errors import EvaganError


def in_processes[T, Result](
    function: Callable[[T], Result], items: Sequence[T], jobs: int, work: str = "scoring"
) -> Iterator[tuple[T, Result]]:
    """Yield every item with what the function makes of it, as they are done; close it to stop the work.

    The processes are spawned: torch's threads do not survive a fork, and CREPE, PESQ and numpy's generator share state.

    Args:
        function: Can be pickled, as items and results.
        items: What to work on.
        jobs: Number of processes, each with one thread of torch.
        work: What they do, for the error.

    Raises:
        EvaganError: If a process died.
    """
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_start)
    try:
        with _interrupts_blocked():
            futures = {pool.submit(function, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise EvaganError(
            f"a {work} process died (out of memory?): try again with fewer jobs; finished utterances are kept"
        ) from None
    except BaseException:
        # What is in the works is not waited for: the caller is about to end.
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block interrupts in the block, and for ever in processes that start in it: interrupts are the parent's business.

    An initializer would come too late: an interrupt while a process imports its modules is a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start() -> None:
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent is gone, which nobody else does: it would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)
