"""What stands between the network and the test: strict headers, size limits, rate limits, tokens."""

import hmac
import threading
import time
from collections import OrderedDict

from fastapi import HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64 * 1024
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
"""On every answer. Audio is decoded from memory, so that not even ``media-src`` is needed."""


class Guard:
    """ASGI layer that adds :data:`HEADERS` to every answer and cuts off bodies above :data:`MAX_BODY_BYTES`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, its answer guarded."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = False

        async def guarded_send(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                message["headers"] = [
                    *message.get("headers", []),
                    *((name.encode(), value.encode()) for name, value in HEADERS.items()),
                ]
            await send(message)

        body, too_large = await _read_body(receive)
        if too_large:
            await guarded_send({"type": "http.response.start", "status": 413, "headers": []})
            await guarded_send({"type": "http.response.body", "body": b"too large"})
            return
        replayed = False

        async def replay() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, guarded_send)


class BelowPath:
    """ASGI layer of an application that a proxy shows below a path, which the proxy takes off or leaves on.

    uvicorn's ``--root-path`` knows only proxies that take it off.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with ``root_path`` and the whole ``path``, as ASGI wants them."""
        if scope["type"] == "http" and self._root_path:
            path, root = scope["path"], self._root_path
            whole = path if path == root or path.startswith(f"{root}/") else root + path
            scope = {**scope, "root_path": root, "path": whole}
        await self._app(scope, receive, send)


async def _read_body(receive: Receive) -> tuple[bytes, bool]:
    """Return the body, or that it goes beyond the limit; what follows then is not read."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return b"", False
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            return b"", True
        more = message.get("more_body", False)
    return b"".join(parts), False


class RateLimit:
    """Token buckets by key: ``burst`` calls at once, then ``per_second``; of many keys the least recent go."""

    MOST_KEYS = 10_000

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def spent(self, key: str) -> bool:
        """Say whether nothing is left for that key, without taking anything."""
        with self._lock:
            return self._left(key) < 1

    def take(self, key: str) -> None:
        """Take one call of that key.

        Raises:
            HTTPException: 429 if none is left.
        """
        with self._lock:
            left = self._left(key)
            if left < 1:
                raise HTTPException(429, "too many requests: wait a moment", headers={"Retry-After": "2"})
            self._buckets[key] = (left - 1, time.monotonic())
            self._buckets.move_to_end(key)
            if len(self._buckets) > self.MOST_KEYS:
                self._buckets.popitem(last=False)

    def _left(self, key: str) -> float:
        left, at = self._buckets.get(key, (float(self._burst), 0.0))
        return min(self._burst, left + (time.monotonic() - at) * self._per_second)


def bearer_token(request: Request) -> str:
    """Return the token of the ``Authorization: Bearer`` header; empty if there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def same_secret(given: str, right: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(), right.encode())


def client_of(request: Request) -> str:
    """Return the address of the other end."""
    return request.client.host if request.client else "unknown"
