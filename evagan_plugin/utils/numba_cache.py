"""A place where numba can write, which it needs before it compiles a function of librosa or resampy."""

import os
import stat
import tempfile
from importlib.machinery import PathFinder
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
COMPILED = ("librosa", "resampy")
"""Packages whose functions numba compiles and keeps."""


def make_numba_cache() -> None:
    """Let numba keep what it compiles in a temporary directory, where it can write to no other place.

    It tries the place that :data:`VARIABLE` names, the directory of the compiled source, and the user's cache. In a
    read-only installation and without a home all are closed, and the import of librosa fails. To be called before
    numba is imported; processes that are started later inherit the choice.
    """
    named = os.environ.get(VARIABLE)
    if _is_writable(Path(named)) if named else _is_writable(_user_cache()) or all(map(_is_writable, _sources())):
        return
    os.environ[VARIABLE] = str(_temporary())


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "numba"


def _sources() -> list[Path]:
    """Return where the sources of the compiled packages lie, as far as these are installed."""
    found = [spec.origin for name in COMPILED if (spec := PathFinder.find_spec(name)) and spec.origin]
    return [Path(origin).with_name("__pycache__") for origin in found]


def _is_writable(folder: Path) -> bool:
    """Whether a file can be written to a directory, or the directory be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _temporary() -> Path:
    """Return this user's own directory; numba runs what it finds there, so nobody else may write to it."""
    user = getattr(os, "getuid", lambda: 0)()
    folder = Path(tempfile.gettempdir()) / f"evagan_numba_{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
    except OSError:
        return Path(tempfile.mkdtemp())
    own = stat.S_ISDIR(state.st_mode) and state.st_uid == user and not state.st_mode & 0o022
    return folder if own and _is_writable(folder) else Path(tempfile.mkdtemp())
