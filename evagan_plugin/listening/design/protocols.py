"""The listening protocols: what a trial holds, which scores it takes, what a careful rater never does."""

from collections.abc import Mapping
from dataclasses import dataclass

from evagan_plugin.errors import UsageError, nearest


@dataclass(frozen=True)
class ListeningProtocol:
    """One way to ask for scores."""

    name: str
    title: str
    """What its mean score is called in tables."""
    samples: str
    """Samples of a trial: ``one``, ``pair`` or ``all`` systems of the item."""
    with_reference: bool
    """Whether the rater can hear the open reference."""
    lowest: float
    highest: float
    step: float
    """Distance of neighbouring scores."""
    reference_floor: float | None
    """A hidden reference scored below this counts against the rater."""
    must_hear: float
    """Part of each sample that must have been heard before it can be scored; 1 is to the end."""

    def accepts(self, scores: Mapping[str, float], half_points: bool = False) -> bool:
        """Say whether the scores of one trial (by slot) are ones that this protocol can give."""
        step = self.step / 2 if half_points else self.step
        on_scale = all(
            self.lowest <= score <= self.highest and ((score - self.lowest) / step).is_integer()
            for score in scores.values()
        )
        return on_scale and (self.samples != "pair" or sum(scores.values()) == self.highest)


PROTOCOLS = {
    # Degradation category rating of ITU-T P.800 annex D (reference first, then sample), labelled by similarity.
    "smos": ListeningProtocol("smos", "SMOS", "one", True, 1, 5, 1, reference_floor=4, must_hear=1.0),
    # Absolute category rating, ITU-T P.800 annex B.
    "mos": ListeningProtocol("mos", "MOS", "one", False, 1, 5, 1, reference_floor=4, must_hear=1.0),
    # A pair shares one point: the preferred sample has 1, both have 0.5 where no preference is felt.
    "ab": ListeningProtocol("ab", "preference", "pair", False, 0, 1, 0.5, reference_floor=None, must_hear=1.0),
    # ITU-R BS.1534-3; it excludes raters who score the hidden reference below 90 in more than 15 % of items.
    "mushra": ListeningProtocol("mushra", "MUSHRA", "all", True, 0, 100, 1, reference_floor=90, must_hear=0.25),
}


def get_protocol(name: str) -> ListeningProtocol:
    """Return the protocol of that name; an unknown one is a :class:`UsageError` that names the nearest."""
    if name not in PROTOCOLS:
        raise UsageError(f"unknown protocol '{name}': {nearest(name, PROTOCOLS)}")
    return PROTOCOLS[name]
