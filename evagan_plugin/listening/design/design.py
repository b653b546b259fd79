"""What a listening test is: systems, items, their audio and the rules, kept in ``test.yaml`` of its folder."""

import dataclasses
import re
import secrets
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, PositiveFloat, PositiveInt, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from evagan_plugin.config.fields import STRICT
from evagan_plugin.data.names import REFERENCE
from evagan_plugin.errors import ConfigError, UsageError
from evagan_plugin.listening.design.crowd import Crowd
from evagan_plugin.listening.design.options import Language
from evagan_plugin.listening.design.protocols import ListeningProtocol, get_protocol
from evagan_plugin.utils.files import read_text, write_text

AudioId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""Name of an audio file without suffix: random, so that nothing about its origin can be read from it."""
TEST_FILE = "test.yaml"
ANCHOR = "anchor_3500hz"
CHECK = "check"
"""What a sample with beeps is called where it stands among the systems."""
SYSTEM_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,59}")
ARTIFACT_LABELS = ("buzz", "click", "hoarse", "muffled", "pitch", "gap", "other")
"""What a rater can report: buzz, click, hoarse voice, muffled highs, pitch slip, spectral gap, anything else."""


@dataclass(frozen=True, config=STRICT)
class System:
    """One source of samples."""

    name: str
    role: Literal["system", "reference", "anchor"] = "system"
    """``reference`` is the hidden reference, ``anchor`` the low-passed one: both are reported apart."""
    source: str = ""
    """Folder or wav.scp that the samples came from."""
    step: int | None = None
    """Training step of the checkpoint that made the samples."""


@dataclass(frozen=True, config=STRICT)
class ListeningItem:
    """One passage, heard in the version of every system."""

    id: str
    """Utterance id."""
    category: str
    start: float
    """Where the passage begins in the utterance (seconds)."""
    seconds: PositiveFloat
    whole_seconds: PositiveFloat
    """Length of the whole utterance."""
    lowered_db: float
    """All samples of the item were lowered by this much, so that none clips."""
    reference: AudioId
    """The open reference; the hidden one is another file with another name."""
    audio: dict[str, AudioId]
    """Sample of each system, by system name."""
    training: bool = False
    """Heard only in training; never analysed."""


@dataclass(frozen=True, config=STRICT)
class Check:
    """A sample with beeps in it, which tell a rater who listens what to answer."""

    item: str
    audio: AudioId
    beeps: PositiveInt


@dataclass(frozen=True, config=STRICT)
class ListeningTest:
    """The whole of ``test.yaml``."""

    id: str
    title: str
    protocol: str
    language: Language
    created: str
    """Date and time, ISO 8601, UTC."""
    seed: int
    sample_rate: PositiveInt
    """Rate of all audio of the test (Hz)."""
    half_points: bool
    """Whether scores such as 3.5 can be given."""
    items_per_rater: PositiveInt
    checks_per_rater: Annotated[int, Field(ge=0)]
    max_seconds: PositiveFloat
    loudness: float | None
    """Integrated loudness of every sample (LUFS, ITU-R BS.1770); levels were left alone when null."""
    consent: str | None
    """Text that replaces the page's consent text."""
    systems: tuple[System, ...]
    items: tuple[ListeningItem, ...]
    checks: tuple[Check, ...] = ()
    crowd: Crowd = Crowd()

    def __post_init__(self) -> None:
        get_protocol(self.protocol)
        names = [system.name for system in self.systems]
        if len(set(names)) != len(names):
            raise ValueError(f"systems: two have the same name: {', '.join(sorted(names))}")
        for item in self.items:
            if set(item.audio) != set(names):
                raise ValueError(
                    f"items: '{item.id}' has audio of {sorted(item.audio)}, the systems are {sorted(names)}"
                )

    @property
    def rules(self) -> ListeningProtocol:
        """The protocol itself."""
        return get_protocol(self.protocol)

    @cached_property
    def by_id(self) -> dict[str, ListeningItem]:
        """Items by utterance id."""
        return {item.id: item for item in self.items}

    @property
    def test_items(self) -> list[ListeningItem]:
        """Items that are analysed."""
        return [item for item in self.items if not item.training]

    @property
    def training_items(self) -> list[ListeningItem]:
        """Items that raters only learn the scale with."""
        return [item for item in self.items if item.training]

    def named(self, role: str) -> list[str]:
        """Names of the systems of a role, in order."""
        return [system.name for system in self.systems if system.role == role]


def check_system_name(name: str) -> None:
    """Raise :class:`UsageError` unless a system can have that name."""
    if name in (REFERENCE, ANCHOR, CHECK):
        raise UsageError(f"'{name}' is the name of a sample that the test adds itself: rename the system")
    if not SYSTEM_NAME.fullmatch(name):
        raise UsageError(f"system name '{name}': letters, digits and . _ + - only, 60 at most, no dot at the start")


def load_design(test_dir: str | Path) -> ListeningTest:
    """Read and check ``test.yaml`` of a test folder.

    Raises:
        UsageError: If the folder holds no test, or its ``test.yaml`` cannot be read.
        ConfigError: If a field of it is wrong.
    """
    path = Path(test_dir) / TEST_FILE
    if not path.exists():
        raise UsageError(f"{test_dir}: no listening test ({TEST_FILE}) in it: make one with 'evagan listen create'")
    try:
        return TypeAdapter(ListeningTest).validate_python(yaml.safe_load(read_text(path)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {where or 'the file'}: {first['msg']}", where or None) from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except (RecursionError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error


def save_design(test_dir: str | Path, design: ListeningTest) -> None:
    """Write ``test.yaml``, whole or not at all."""
    # JSON types only: tuples become lists, which YAML can say without tags.
    plain = TypeAdapter(ListeningTest).dump_python(design, mode="json")
    write_text(Path(test_dir) / TEST_FILE, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120))


def with_system(design: ListeningTest, system: System, audio: dict[str, str]) -> ListeningTest:
    """Return the design with one more system; ``audio`` holds its sample's id for every item."""
    items = [dataclasses.replace(item, audio=item.audio | {system.name: audio[item.id]}) for item in design.items]
    return dataclasses.replace(design, systems=(*design.systems, system), items=tuple(items))


def audio_path(test_dir: str | Path, audio: str) -> Path:
    """Where the sample of that id lies."""
    return Path(test_dir) / "audio" / f"{audio}.wav"


def new_id() -> str:
    """Return 128 random bits as hexadecimal digits."""
    return secrets.token_hex(16)
