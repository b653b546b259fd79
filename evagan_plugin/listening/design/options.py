"""How to make a listening test. Light: the command line takes its defaults from here before it loads anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from evagan_plugin.errors import UsageError, nearest
from evagan_plugin.listening.design.crowd import Crowd
from evagan_plugin.listening.design.protocols import get_protocol
from evagan_plugin.utils.files import read_text

Language = Literal["en", "zh", "ja"]
"""Language of the page where the rater's browser asks for none that there is."""
LANGUAGES = get_args(Language)
EXPORT_FORMS = ("votes", "p808")
"""What ``evagan listen export`` writes: every raw vote; finished sessions as Microsoft's P.808 toolkit reads them."""


@dataclass(frozen=True)
class ListeningOptions:
    """How to make a test; the fields are the options of ``evagan listen create``, which has its defaults from here."""

    __test__ = False  # By its former name, TestOptions, pytest would take it for tests.

    title: str = "Listening test"
    protocol: str = "smos"
    language: str = "en"
    half_points: bool = False
    hidden_reference: bool = True
    anchor: bool = True
    align_loudness: bool = True
    loudness: float = -23.0
    """LUFS."""
    max_seconds: float = 10.0
    sample_rate: int | None = None
    """Hz; the highest of the references when ``None``."""
    items_per_category: int | None = None
    """All utterances when ``None``."""
    items_per_rater: int = 10
    training_items: int = 1
    checks: int = 2
    """Attention checks per rater."""
    raters: int = 20
    """Personal links made at once."""
    seed: int = 0
    consent: str | None = None
    categories: Mapping[str, str] = field(default_factory=dict)
    """Category by utterance id; ``all`` for those that are not in it."""
    crowd: Crowd = field(default_factory=Crowd)
    allow_pipes: bool = False
    """Run the commands that a ``wav.scp`` may have in the place of files."""

    def __post_init__(self) -> None:
        get_protocol(self.protocol)
        if self.language not in LANGUAGES:
            raise UsageError(f"unknown language '{self.language}': {nearest(self.language, LANGUAGES)}")
        if self.half_points and self.protocol not in ("smos", "mos"):
            raise UsageError(f"half points belong to smos and mos, not to {self.protocol}")
        if not 0.5 <= self.max_seconds <= 60:
            raise UsageError(f"the longest passage must be 0.5 to 60 s, not {self.max_seconds:g}")
        if min(self.items_per_rater, self.raters) < 1 or min(self.training_items, self.checks) < 0:
            raise UsageError("items per rater and raters must be 1 or more, training items and checks 0 or more")


def read_consent(path: str | Path) -> str:
    """Return the text of a consent file; a missing, empty or unreadable one is a :class:`UsageError`."""
    text = read_text(path).strip()
    if not text:
        raise UsageError(f"{path}: empty; a consent text is needed")
    return text


TestOptions = ListeningOptions
"""The class's former name, under which it stays public."""
