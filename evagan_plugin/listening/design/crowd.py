"""Raters who come by the open link, from a crowd-sourcing site: who gets in, and where they go at the end."""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from evagan_plugin.errors import UsageError

PARTICIPANT, STUDY, SESSION = "PROLIFIC_PID", "STUDY_ID", "SESSION_ID"
"""Query parameters by which Prolific says who comes, for which study, and in which submission."""
PROLIFIC_QUERY = "&".join(f"{name}={{{{%{name}%}}}}" for name in (PARTICIPANT, STUDY, SESSION))
"""Query of a study's address, with Prolific's placeholders (docs.prolific.com, "The study object")."""
PROLIFIC_HOSTS = ("prolific.com", "prolific.co")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Crowd:
    """The part ``crowd`` of ``test.yaml``; the fields are options of ``evagan listen create``."""

    __pydantic_config__ = {"extra": "forbid", "allow_inf_nan": False}  # noqa: RUF012  read by pydantic, never changed

    prolific: bool = False
    """The open link lets in only who brings a participant id (``PROLIFIC_PID``)."""
    completion_url: str | None = None
    """Where the page sends raters at the end."""
    completion_code: str | None = None
    """Shown at the end; the ``cc`` of :attr:`completion_url` or, without either, a code of each rater's own if None."""
    max_raters: int | None = None
    """Raters who may take part; no limit if None."""
    place_minutes: float = 60.0
    """An unfinished session holds its place among them for this long after its last sign of life."""

    def __post_init__(self) -> None:
        if self.completion_url is not None:
            _check_completion_url(self.completion_url)
            given, said = _code_in(self.completion_url), self.completion_code
            if given and said and given != said:
                raise UsageError(
                    f"the completion URL says code '{given}', the completion code is '{said}': leave one out"
                )
        if self.completion_code is not None and not self.completion_code.strip():
            raise UsageError("the completion code is empty")
        if self.max_raters is not None and self.max_raters < 1:
            raise UsageError(f"the limit of raters must be 1 or more, not {self.max_raters}")
        if not self.place_minutes > 0:
            raise UsageError(f"a place must be held for more than 0 minutes, not {self.place_minutes:g}")

    def code_of(self, own: str) -> str:
        """Return the completion code of a rater whose own one is given."""
        return self.completion_code or (self.completion_url and _code_in(self.completion_url)) or own


def check_web_address(what: str, url: str) -> None:
    """Raise :class:`UsageError` unless a browser can be sent to the URL: https (or http), a host, no spaces."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine or any(letter.isspace() or not letter.isprintable() for letter in url):
        raise UsageError(f"{what} '{url}': not an address such as https://its.name/path")


def _check_completion_url(url: str) -> None:
    check_web_address("completion URL", url)
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and host not in LOOPBACK:
        raise UsageError(f"completion URL '{url}': must begin with https://")
    of_prolific = any(host == name or host.endswith(f".{name}") for name in PROLIFIC_HOSTS)
    if of_prolific and not (parts.path.rstrip("/").endswith("/submissions/complete") and _code_in(url)):
        raise UsageError(
            f"completion URL '{url}': Prolific's are https://app.prolific.com/submissions/complete?cc=CODE; "
            "copy it from the study's page"
        )


def _code_in(url: str) -> str | None:
    return next(iter(parse_qs(urlsplit(url).query).get("cc", [])), None)
