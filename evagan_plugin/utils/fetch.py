"""Downloads by HTTP, whole or not at all."""

import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from evagan_plugin.errors import EvaganError
from evagan_plugin.utils.files import atomic_path

TIMEOUT_SECONDS = 30
PIECE_BYTES = 2**18


def fetch(url: str, path: Path) -> None:
    """Download ``url`` to ``path``; a file that is there is left alone.

    Raises:
        EvaganError: If it cannot be had; with what to do where there is no network. Its cause is the error of
            ``urllib`` or ``http.client``, if that is what it was.
    """
    if path.is_file():
        return
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as source, atomic_path(path) as temporary:
            with temporary.open("wb") as target:
                target.writelines(_pieces(source, url))
            expected = source.headers.get("Content-Length")
            if expected and temporary.stat().st_size != int(expected):
                raise EvaganError(f"{url}: the connection broke off; run it again")
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise EvaganError(f"cannot download {url} ({reason}): download it elsewhere and put it at {path}") from error


def _pieces(source: HTTPResponse, url: str) -> Iterator[bytes]:
    # What fails here is the connection, what fails where the pieces go is the disk.
    try:
        while piece := source.read(PIECE_BYTES):
            yield piece
    except (OSError, HTTPException) as error:
        raise EvaganError(f"{url}: the connection broke off ({error or type(error).__name__}); run it again") from error
