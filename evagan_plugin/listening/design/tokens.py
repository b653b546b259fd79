"""The two secrets of a test: the administrator's token and the open link's. Raters' tokens are in the vote store."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from evagan_plugin.errors import UsageError
from evagan_plugin.listening.design.crowd import PROLIFIC_QUERY
from evagan_plugin.utils.files import atomic_path, read_text

TOKENS_FILE = "tokens.tsv"
ROLES = ("admin", "join")


def write_tokens(test_dir: Path) -> None:
    """Make the tokens and write them, readable by their owner only."""
    text = "".join(f"{role}\t{secrets.token_urlsafe(24)}\n" for role in ROLES)
    with atomic_path(test_dir / TOKENS_FILE) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)


def read_tokens(test_dir: str | Path) -> dict[str, str]:
    """Return the tokens by role (``admin``, ``join``).

    Raises:
        UsageError: If the file is missing or damaged.
    """
    path = Path(test_dir) / TOKENS_FILE
    try:
        tokens = dict(line.split("\t") for line in read_text(path).splitlines())
        return {role: tokens[role] for role in ROLES}
    except (UsageError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: cannot be read; its lines are 'admin<tab>token' and 'join<tab>token'") from error


@dataclass(frozen=True)
class Links:
    """Addresses of a test. Whoever has one has what it gives."""

    admin: str
    join: str
    """Makes a rater of every visitor; with Prolific's placeholders where raters come from there."""
    personal: list[str]
    """Of the raters, in order of their numbers."""


def links(base_url: str, tokens: dict[str, str], personal: list[str], prolific: bool = False) -> Links:
    """Return the links of the administrator, of everybody, and of each rater.

    The token stands after ``#``: browsers do not send that part, so it enters no log and no Referer header.
    """
    base = base_url.rstrip("/")
    return Links(
        admin=f"{base}/admin#{tokens['admin']}",
        join=f"{base}/{f'?{PROLIFIC_QUERY}' if prolific else ''}#join={tokens['join']}",
        personal=[f"{base}/#{token}" for token in personal],
    )
