"""A training that goes wrong, said in one line while it happens: what is wrong, and what to try."""

import logging
import math
from collections.abc import Mapping

from evagan_plugin.config import DiscriminatorsConfig

logger = logging.getLogger(__name__)

EARLIEST = 500
"""Generator steps before which level and discriminators say nothing: every generator begins near silence."""
PATIENCE = 3
"""Looks in a row that a trouble must last; what is not finite is said at once."""
SILENT = 0.03
"""Level of the generated audio to that of the recordings (-30 dB)."""
SATURATED = 0.1
"""Part of the generated samples that are at full scale."""
WON = 0.03
"""Loss of a member of the discriminators, per member; 0.5 where it cannot tell, 0 where it is never wrong."""
LOST = 0.9
"""Adversarial loss of the generator, per member; 1 where every item is taken for generated."""

LOWER = "lower the learning rates, take an earlier checkpoint"


class Health:
    """Looks at the statistics of both steps when a host logs them, and warns once of each trouble until it is over.

    It takes what is a plain number by then, so that nothing is waited for.

    Args:
        discriminators: Which there are, and how many members each has.
    """

    def __init__(self, discriminators: DiscriminatorsConfig) -> None:
        self.members = {
            name: len(getattr(discriminators, name).periods if name == "mpd" else discriminators.mrd.resolutions)
            for name in discriminators.names
        }
        self._lasting: dict[str, int] = {}

    def look(self, stats: Mapping[str, float], steps: int) -> list[str]:
        """Return, and log as warnings, the troubles that are new.

        Args:
            stats: Values of ``StepOutput.stats`` of both steps by name; others and missing ones are passed over.
            steps: Generator steps so far.
        """
        present = self._not_finite(stats)
        sudden = set(present)
        if steps >= EARLIEST and not sudden:
            present |= self._level(stats) | self._won(stats)
        self._lasting = {name: self._lasting.get(name, 0) + 1 for name in present}
        lines = [
            f"step {steps}: {line}"
            for name, line in present.items()
            if self._lasting[name] == (1 if name in sudden else PATIENCE)
        ]
        for line in lines:
            logger.warning(line)
        return lines

    def _not_finite(self, stats: Mapping[str, float]) -> dict[str, str]:
        losses = [name for name, value in stats.items() if "/" not in name and not math.isfinite(value)]
        if losses:
            return {"loss": f"not finite: {', '.join(losses)}. Try: {LOWER}; bf16: false; look for broken recordings"}
        gradients = [
            name.removeprefix("balancer/norm_")
            for name, value in stats.items()
            if name.startswith("balancer/norm_") and not math.isfinite(value)
        ]
        if gradients or stats.get("balancer/skipped", 0) > 0:
            which = ", ".join(gradients) or "a loss"
            return {"gradient": f"the gradient of {which} is not finite and is left out. Try: {LOWER}; bf16: false"}
        return {}

    def _level(self, stats: Mapping[str, float]) -> dict[str, str]:
        level, saturated = stats.get("fake/level", 1.0), stats.get("fake/saturated", 0.0)
        if saturated > SATURATED:
            return {
                "saturation": f"the generator saturates: {saturated:.0%} of its samples are at full scale. Try: {LOWER}"
            }
        if level < SILENT:
            return {
                "silence": f"the generator is nearly silent, {level:.3f} of the recordings' level. Try: check the mels "
                "(evagan info) and the recordings; a larger weight losses.mel; a larger learning rate"
            }
        return {}

    def _won(self, stats: Mapping[str, float]) -> dict[str, str]:
        return {
            f"won_{name}": f"the discriminator {name} is never wrong, so that it teaches nothing. Try: "
            "training.discriminator_start_steps, a lower learning rate of the discriminators, a larger losses.mel"
            for name, members in self.members.items()
            if stats.get(f"disc_{name}", math.inf) < WON * members and stats.get(f"adv_{name}", 0.0) > LOST * members
        }
