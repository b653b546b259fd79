"""Kinds of fields that several sections have."""

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, PositiveInt

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
Size = Annotated[int, Field(gt=0, le=2**16)]
"""A number that memory is allocated by: a mistyped one is reported before that."""
Sizes = Annotated[tuple[Size, ...], Field(min_length=1)]
PositiveInts = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]

STFT_RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""(n_fft, hop_length, win_length) in samples, of Parallel WaveGAN's STFT loss and of UnivNet's discriminator."""


def _switched_off(value: object) -> object:
    """Read YAML's ``off`` and ``none`` (``false`` and a string to a parser) as absent."""
    return None if value is False or value in ("none", "off") else value


Switchable = BeforeValidator(_switched_off)
"""Marks a section that ``off`` or ``none`` leaves out."""
