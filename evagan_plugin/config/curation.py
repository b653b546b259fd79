"""The rules of ``evagan curate``: how recordings are cut, and what is left out."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat
from pydantic.dataclasses import dataclass

from evagan_plugin.config.fields import STRICT, Switchable

Limit = Annotated[float | None, Switchable]
"""A number, or ``off``."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]
LimitShare = Annotated[Share | None, Switchable]
Cut = Literal["edge", "images"]


def _none_if_off(value: object) -> object:
    return () if value is False or value in (None, "none", "off") else value


@dataclass(frozen=True, config=STRICT)
class CurationRules:
    """``min_X`` and ``max_X`` are limits of the column X of ``curation.tsv``; ``off`` leaves a rule out."""

    shortest_cut: PositiveFloat = 3.0
    """Seconds of an item that is cut out of something longer, at least."""
    longest_cut: PositiveFloat = 30.0
    """Seconds; what is longer is cut at its quietest places."""
    min_duration: Limit = 1.0
    """Seconds."""
    max_duration: Limit = None
    """Seconds."""
    min_sample_rate: Limit = None
    """Hz."""
    min_bandwidth: Limit = 7000.0
    """Hz; narrower is a telephone."""
    refuse_cut_by: Annotated[tuple[Cut, ...], BeforeValidator(_none_if_off)] = ("images",)
    """``edge``: the sound ends in an edge (codec, filter, good upsampler); ``images``: a poor upsampler's mirrors."""
    max_peak: Limit = None
    """Full scale is 1.0; decoded MP3 may exceed it."""
    max_clipping: LimitShare = 0.001
    """Share of samples in clipped tops."""
    max_silence: LimitShare = 0.7
    """Share of silent frames of 20 ms."""
    min_speech: LimitShare = None
    """Share of speech (Silero VAD)."""
    max_speech: LimitShare = None
    """Share of speech: for music without voices."""
    min_loudness: Limit = -50.0
    """LUFS."""
    max_loudness: Limit = None
    """LUFS."""
    max_noise_floor: Limit = None
    """dBFS."""
    max_dc_offset: Limit = 0.02
    """Full scale is 1.0."""
    min_channel_correlation: Annotated[Annotated[float, Field(ge=-1.0, le=1.0)] | None, Switchable] = -0.3
    """Channels that cancel out leave little of themselves when they are mixed down."""
    max_duplicate_error: LimitShare = 0.15
    """Share of a fingerprint's bits in which two recordings of one sound may differ; unrelated ones have 0.5."""
    max_unreadable: Share = 0.01
    """Share of the items that may be unreadable, as in ``mix.yaml``; with more of them nothing is written."""

    def __post_init__(self) -> None:
        if self.longest_cut < 2 * self.shortest_cut:
            raise ValueError("longest_cut must be at least twice shortest_cut, or not everything can be cut")
        for column, least, most in self.limits():
            if least is not None and most is not None and least > most:
                raise ValueError(f"min_{column} is above max_{column}: nothing would be kept")

    def limits(self) -> Iterator[tuple[str, float | None, float | None]]:
        """Yield each column that has limits, with the least and the largest value (None: no limit)."""
        names = [field.name for field in fields(self)]
        own = {"duplicate_error", "unreadable"}  # of no column: see where they are used
        columns = dict.fromkeys(name[4:] for name in names if name.startswith(("min_", "max_")))
        for column in columns:
            if column not in own:
                yield column, getattr(self, f"min_{column}", None), getattr(self, f"max_{column}", None)
