"""Running the application with uvicorn."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from evagan_plugin.errors import EvaganError, UsageError, require
from evagan_plugin.listening.design.crowd import LOOPBACK, check_web_address
from evagan_plugin.listening.design.design import load_design
from evagan_plugin.listening.design.tokens import links, read_tokens
from evagan_plugin.listening.votes.store import open_store

EVERYWHERE = ("0.0.0.0", "::")
TLS_HINT = (
    "Others can reach this server over plain HTTP: links and votes could be read on the way. Give --certificate and "
    "--key, or bind to 127.0.0.1 behind a proxy that ends TLS (nginx: proxy_pass http://127.0.0.1:{port};) and say "
    "--url https://its.name"
)


@dataclass(frozen=True)
class Address:
    """Where a server listens and how raters reach it."""

    host: str = "127.0.0.1"
    port: int = 8000
    url: str | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise UsageError("TLS needs both --certificate and --key")
        if self.url is not None:
            check_web_address("--url", self.url)
            if any(mark in self.url for mark in "?#"):
                raise UsageError(f"--url '{self.url}': without ? and #, which the links add")

    @property
    def base_url(self) -> str:
        """Beginning of the links."""
        scheme = "https" if self.certificate else "http"
        name = socket.gethostname() if self.host in EVERYWHERE else self.host
        return self.url or f"{scheme}://{f'[{name}]' if ':' in name else name}:{self.port}"

    @property
    def root_path(self) -> str:
        """Path of :attr:`url`, below which a proxy shows the test; empty for the root of its host."""
        return urlsplit(self.url or "").path.rstrip("/")


def serve_test(test_dir: str | Path, address: Address, database: str | None, announce: Callable[[str], None]) -> None:
    """Serve a test until interrupted.

    Args:
        test_dir: The test folder.
        address: Where to listen.
        database: URL of the vote store, where it is not in the folder.
        announce: Takes the lines for the terminal: links and hints.

    Raises:
        EvaganError: If the port cannot be used or a package of the extra ``listen`` is missing.
    """
    uvicorn = require("uvicorn", "listen")
    require("fastapi", "listen")
    from evagan_plugin.listening.web.app import create_app

    listener = _listen(address)
    application = create_app(test_dir, database, address.root_path)
    design = load_design(test_dir)
    with open_store(test_dir, design, database) as store:
        personal = [rater.token for rater in store.raters()]
    found = links(address.base_url, read_tokens(test_dir), personal, design.crowd.prolific)
    announce(f"{design.title}: {design.rules.title} test, {len(design.test_items)} items, {len(personal)} raters")
    kind = "study link for Prolific" if design.crowd.prolific else "open link (each visitor becomes a new rater)"
    announce(f"{kind}: {found.join}")
    announce(f"results: {found.admin}")
    announce(f"personal links: evagan listen status {test_dir} --url {address.base_url}")
    if address.host not in LOOPBACK and not address.certificate:
        announce(TLS_HINT.format(port=address.port))
    config = uvicorn.Config(
        application,
        host=address.host,
        port=address.port,
        ssl_certfile=address.certificate,
        ssl_keyfile=address.key,
        # Requests carry no secrets in their paths, but a list of who asked when is nobody's business either.
        access_log=False,
        server_header=False,
        log_level="warning",
    )
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        raise EvaganError(f"cannot listen on {address.host}:{address.port}: {error.strerror or error}") from error
