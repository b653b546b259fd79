"""Work in several processes that an interrupt ends at once and that do not outlive the one that started them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import torch

from evagan_plugin.errors import EvaganError


def in_processes[T, Result](
    function: Callable[[T], Result],
    items: Sequence[T],
    jobs: int,
    work: str = "scoring",
    crashed: Callable[[T, str], Result] | None = None,
) -> Iterator[tuple[T, Result]]:
    """Yield every item with what the function makes of it, as they are done; close it to stop the work.

    The processes are spawned: torch's threads do not survive a fork, and CREPE, PESQ and numpy's generator share state.

    Args:
        function: Can be pickled, as items and results.
        items: What to work on.
        jobs: Number of processes, each with one thread of torch.
        work: What they do, for the error.
        crashed: What is made of an item, and the reason, on which native code crashes. Those that were in the works are
            tried again one by one, so that no other pays for it.

    Raises:
        EvaganError: If a process died: without ``crashed`` of anything, else by being killed (out of memory).
    """
    left = list(items)
    while left:
        try:
            for number, result in _pooled(function, left, jobs):
                item, left[number] = left[number], _DONE
                yield item, result
            return
        except _Died as death:
            if crashed is None or not death.reason:
                raise _died(work) from None
        left = [item for item in left if item is not _DONE]
        # Work is begun in order: as many as there are processes, and what is queued for them.
        suspects, left = left[: 2 * jobs + 1], left[2 * jobs + 1 :]
        while suspects:
            try:
                for _, result in _pooled(function, tuple(suspects), 1, one_by_one=True):
                    yield suspects.pop(0), result
            except _Died as death:
                if not death.reason:
                    raise _died(work) from None
                item = suspects.pop(0)
                yield item, crashed(item, death.reason)


_DONE = object()


class _Died(Exception):  # noqa: N818 - an outcome
    """A process has died; ``reason`` says of what, and is empty where it was killed from outside."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _died(work: str) -> EvaganError:
    return EvaganError(
        f"a {work} process died (out of memory?): try again with fewer jobs; finished utterances are kept"
    )


def _pooled[T, Result](
    function: Callable[[T], Result], items: Sequence[T], jobs: int, one_by_one: bool = False
) -> Iterator[tuple[int, Result]]:
    """Yield the number of each item and what is made of it (raises :class:`_Died`); in order if ``one_by_one``."""
    others = set(multiprocessing.active_children())
    mine: set = set()
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_start)

    def submit(numbers: Iterable[int]) -> dict[Future, int]:
        with _interrupts_blocked():
            futures = {pool.submit(function, items[number]): number for number in numbers}
        mine.update(set(multiprocessing.active_children()) - others)
        return futures

    try:
        everything = range(len(items))
        for numbers in ([number] for number in everything) if one_by_one else [everything]:
            futures = submit(numbers)
            for future in as_completed(futures):
                yield futures[future], future.result()
    except BrokenProcessPool:
        pool.shutdown(wait=True, cancel_futures=True)
        raise _Died(_reason(mine)) from None
    except BaseException:
        # What is in the works is not waited for: the caller is about to end.
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _reason(processes: Iterable[multiprocessing.Process]) -> str:
    """Return what a process crashed of; nothing if none did, but one was killed."""
    for process in processes:
        process.join()
        # The pool itself terminates the others.
        if process.exitcode not in (0, -signal.SIGTERM, -signal.SIGKILL):
            status = process.exitcode
            return signal.strsignal(-status) or f"signal {-status}" if status < 0 else f"exit status {status}"
    return ""


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
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """End this process when its parent is gone, which nobody else does: it would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)
