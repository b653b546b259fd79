"""Downloads by HTTP, whole or not at all."""

import shutil
import urllib.request
from pathlib import Path

from evagan_plugin.errors import EvaganError
from evagan_plugin.utils.files import atomic_path

TIMEOUT_SECONDS = 30


def fetch(url: str, path: Path) -> None:
    """Download ``url`` to ``path``; a file that is there is left alone.

    Raises:
        EvaganError: If it cannot be had; with what to do where there is no network. Its cause is the error of
            ``urllib``, if that is what it was.
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
