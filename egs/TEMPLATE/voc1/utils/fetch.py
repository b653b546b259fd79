"""Download a file, whole or not at all: ``fetch.py URL FILE``; a file that is there is left alone."""

import shutil
import sys
import urllib.request
from pathlib import Path

from evagan_plugin.errors import EvaganError, one_line_errors
from evagan_plugin.utils.files import atomic_path

TIMEOUT_SECONDS = 30


def fetch(url: str, path: Path) -> None:
    """Download ``url`` to ``path``.

    Raises:
        EvaganError: If it cannot be had; with what to do where there is no network.
    """
    if path.is_file():
        return
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as source, atomic_path(path) as temporary:
            with temporary.open("wb") as target:
                shutil.copyfileobj(source, target)
            expected = source.headers.get("Content-Length")
            if expected and temporary.stat().st_size != int(expected):
                raise EvaganError(f"{url}: the connection broke off; run it again")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise EvaganError(f"cannot download {url} ({reason}): download it elsewhere and put it at {path}") from error


if __name__ == "__main__":
    with one_line_errors("fetch.py"):
        fetch(sys.argv[1], Path(sys.argv[2]))
