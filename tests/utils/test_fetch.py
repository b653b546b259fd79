"""Downloads: whole or not at all, and one line that says what broke."""

import socket
import struct
import threading
from contextlib import contextmanager

import pytest

from evagan_plugin.errors import EvaganError
from evagan_plugin.utils import fetch as module
from evagan_plugin.utils.fetch import fetch

OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def answering(answer, end):
    """Serve one answer (bytes) on this machine, then end the connection by ``end``; yields the URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection = server.accept()[0]
            with connection:
                connection.recv(4096)
                connection.sendall(answer)
                end(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/a"
        thread.join()


def close(connection):
    """End it in order."""


def reset(connection):
    """End it by a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def wait(connection):
    """Say no more until the other side ends it."""
    connection.recv(1)


def test_a_file_comes_whole_and_is_not_fetched_twice(tmp_path):
    with answering(OK + b"Content-Length: 3\r\n\r\nabc", close) as url:
        fetch(url, tmp_path / "a")
    fetch(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (OK + b"Content-Length: 9\r\n\r\nabc", close),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc", close),
        (OK + b"Content-Length: 9\r\n\r\nabc", reset),
        (OK + b"Content-Length: 9\r\n\r\nabc", wait),
    ],
    ids=["short", "chunked", "reset", "timeout"],
)
def test_a_connection_that_breaks_off_is_said_so_and_leaves_nothing(tmp_path, monkeypatch, answer, end):
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.5)
    with (
        answering(answer, end) as url,
        pytest.raises(EvaganError, match=f"{url}: the connection broke off.*; run it again$"),
    ):
        fetch(url, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_what_speaks_no_http_is_told(tmp_path):
    with answering(b"nonsense\r\n\r\n", close) as url, pytest.raises(EvaganError, match="download it elsewhere"):
        fetch(url, tmp_path / "a")


def test_a_folder_that_cannot_be_written_is_not_the_connections_fault(tmp_path):
    (tmp_path / "file").touch()
    with (
        answering(OK + b"Content-Length: 3\r\n\r\nabc", close) as url,
        pytest.raises(EvaganError, match=r"cannot write .*file/a"),
    ):
        fetch(url, tmp_path / "file" / "a")
