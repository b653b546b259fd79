"""Old fields of configs: a renamed one means what it meant, one that is gone is passed over, and one line says so."""

import logging
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)

RENAMED = {("generator", "normalise"): "normalize"}
"""Section and old name of a field, and its name today."""
GONE = (("training", "reuse_forward"),)
"""Section and name of a field that is no more; it changed memory and time alone."""
OLD_SHARES = {"mel": 45.0, "feature_matching": 2.0, "adversarial": 1.0, "stft": 0.0}
"""What ``balancer.shares`` took in the place of a weight that it did not have."""

REPORTED: set[str] = set()
"""Old fields that a line has named."""


def without_old_fields(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a :class:`VocoderConfig` with today's names in the place of old ones, without what is gone."""
    settings = dict(settings)
    for (section, old), new in RENAMED.items():
        fields = settings.get(section)
        if isinstance(fields, Mapping) and old in fields:
            settings[section] = {new: fields[old]} | {name: value for name, value in fields.items() if name != old}
            _rename_please(f"{section}.{old}", f"{section}.{new}")
    for section, old in GONE:
        fields = settings.get(section)
        if isinstance(fields, Mapping) and old in fields:
            settings[section] = {name: value for name, value in fields.items() if name != old}
            _report(f"{section}.{old}", "has no effect any more: please leave it out")
    balancer = settings.get("balancer")
    if isinstance(balancer, Mapping) and "shares" in balancer:
        settings["balancer"] = {name: value for name, value in balancer.items() if name != "shares"}
        shares = balancer["shares"]
        # Beside them ``losses`` had no effect; every config that was written out had both.
        settings["losses"] = OLD_SHARES | shares if isinstance(shares, Mapping) else shares
        _rename_please("balancer.shares", "losses")
    return settings


def _rename_please(old: str, new: str) -> None:
    _report(old, f"is now '{new}': its values are used as before; please rename it")


def _report(old: str, what: str) -> None:
    """Say it once in a process: hosts build the same config several times."""
    if old not in REPORTED:
        REPORTED.add(old)
        logger.warning("config field '%s' %s", old, what)
