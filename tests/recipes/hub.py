"""A Hugging Face Hub of a few data sets on this machine, for the real huggingface_hub, and other files beside."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

REVISION = "c0ffee" * 6 + "c0ff"


@dataclass
class Hub:
    """What the server has, and what it was asked for."""

    datasets: Mapping[str, Path] = field(default_factory=dict)
    """Folder of each data set."""
    files: Path | None = None
    """Folder of files that lie at /files/."""
    token: str = ""
    """Who does not give it gets none of the data sets' files."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes (bytes) that are stated of files in the place of their own."""
    cut_after: int = 0
    """Bytes after which the connection breaks off, once."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and ``Range`` of each GET of a file."""
    url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead huggingface_hub here."""
        return {"HF_ENDPOINT": self.url, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "", "NO_PROXY": "127.0.0.1"}


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serve it as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/files/") and self.hub.files and (file := self.hub.files / path[7:]).is_file():
            self._send_file(path, file, body)
            return
        for name, folder in self.hub.datasets.items():
            if path == f"/api/datasets/{name}":
                self._send(json.dumps({"id": name, "sha": REVISION, "gated": bool(self.hub.token)}).encode())
                return
            if path == f"/api/datasets/{name}/tree/{REVISION}":
                self._send(json.dumps(list(self._entries(folder))).encode())
                return
            if path.startswith(start := f"/datasets/{name}/resolve/{REVISION}/"):
                if self.hub.token and self.headers["Authorization"] != f"Bearer {self.hub.token}":
                    self._send(b"", status=403, headers={"X-Error-Code": "GatedRepo"})
                else:
                    self._send_file(path, folder / path.removeprefix(start), body)
                return
        self._send(b"", status=404, headers={"X-Error-Code": "RepoNotFound"} if path.startswith("/api/") else {})

    def _entries(self, folder: Path) -> Iterator[dict[str, object]]:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            name = str(file.relative_to(folder))
            size = self.hub.sizes.get(name, file.stat().st_size)
            yield {"type": "file", "path": name, "size": size, "oid": hashlib.sha1(name.encode()).hexdigest()}

    def _send_file(self, path: str, file: Path, body: bool) -> None:
        content = file.read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
        asked = self.headers["Range"] or ""
        if body:
            self.hub.asked.append((path, asked))
        if not asked.startswith("bytes="):
            self._send(content, headers=headers, body=body)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = content[int(first) : int(last) + 1 if last else None]
        headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
        self._send(part, status=206, headers=headers, body=body)

    def _send(
        self, content: bytes, status: int = 200, headers: Mapping[str, str] | None = None, body: bool = True
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if body and self.hub.cut_after and len(content) > self.hub.cut_after:
            self.wfile.write(content[: self.hub.cut_after])
            self.hub.cut_after, self.close_connection = 0, True
        elif body:
            self.wfile.write(content)
