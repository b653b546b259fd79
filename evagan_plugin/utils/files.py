"""Writing without half files: every output is written beside its place and renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evagan_plugin.errors import EvaganError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; it becomes ``path`` when the block ends without an error.

    The parent directory is made. The yielded name keeps the suffix of ``path``, so that writers that
    choose a format by suffix work.

    Raises:
        EvaganError: If the file cannot be written (no permission, full disk); nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise EvaganError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        # Whatever keeps it from being removed has been reported above, or there is nothing to remove.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file (UTF-8) whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
