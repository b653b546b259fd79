"""Vocoders of other kinds, known by a tensor's name, and what to do with them: their layers are not ours."""

import re
from collections.abc import Iterable

ELSEWHERE = "give {kind}:PATH to synth, compare or benchmark; it cannot be converted"
FOREIGN = {
    r"(^|\.)m_source\.": "NSF-HiFi-GAN or another vocoder driven by a pitch: nothing here gives it one",
    r"\.activations\.\d+\.act\.|(^|\.)activation_post\.": f"BigVGAN: {ELSEWHERE.format(kind='bigvgan')}",
    r"(^|\.)backbone\.convnext\.|(^|\.)head\.istft\.": f"Vocos: {ELSEWHERE.format(kind='vocos')}",
}
"""By a pattern in the names of its tensors: which vocoder it is, and what opens it."""


def foreign_vocoder(names: Iterable[str]) -> str | None:
    """Return whose tensors these are and what to do, or None if they are of no other vocoder that is known."""
    names = list(names)
    return next((what for pattern, what in FOREIGN.items() if any(re.search(pattern, name) for name in names)), None)
