"""One process at a time in a folder."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evagan_plugin.errors import EvaganError

LOCK_FILE = ".lock"
RETRY_SECONDS = 0.2


@contextmanager
def locked(folder: str | Path, patience: float | None = None) -> Iterator[None]:
    """Keep other processes (and threads) that ask for it out of a folder; wait where one is in it already.

    The system ends the lock of a process that dies.

    Args:
        folder: The folder, made if need be.
        patience: Seconds to wait at most; None waits for as long as it takes.

    Raises:
        EvaganError: If the folder cannot be written, or another process is still in it.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / LOCK_FILE).open("a")
    except OSError as error:
        raise EvaganError(f"cannot write {error.filename}: {error.strerror}") from error
    with stream:
        deadline = None if patience is None else time.monotonic() + patience
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX if deadline is None else fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EvaganError(
                        f"{folder} is in use by another process: wait for its end, stop it, or choose another folder"
                    ) from None
                time.sleep(RETRY_SECONDS)
        yield
