"""One change of a test folder at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evagan_plugin.errors import EvaganError

LOCK_FILE = ".lock"


@contextmanager
def locked(test_dir: Path) -> Iterator[None]:
    """Keep other processes (and threads) that ask for it out of a test folder; wait where one is in it already.

    The system ends the lock of a process that dies.

    Raises:
        EvaganError: If the folder cannot be written.
    """
    try:
        stream = (test_dir / LOCK_FILE).open("a")
    except OSError as error:
        raise EvaganError(f"cannot write {error.filename}: {error.strerror}") from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
