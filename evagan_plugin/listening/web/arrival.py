"""Who comes by the open link, as the query of its address says."""

import re
from urllib.parse import parse_qsl

from evagan_plugin.listening.design.crowd import PARTICIPANT, SESSION, STUDY
from evagan_plugin.listening.votes.arrivals import AdmissionError
from evagan_plugin.listening.votes.records import Participant

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def participant_of(query: str, demanded: bool) -> Participant:
    """Return the participant whom a query string (``?PROLIFIC_PID=...&STUDY_ID=...&SESSION_ID=...``) names.

    Args:
        query: Other parameters are left alone.
        demanded: Whether the test takes nobody without an id.

    Raises:
        AdmissionError: If an id is missing, there twice, or not one.
    """
    given: dict[str, str] = {}
    for name, value in parse_qsl(query.removeprefix("?"), keep_blank_values=True):
        if name not in (PARTICIPANT, STUDY, SESSION):
            continue
        if name in given:
            raise AdmissionError("participant", f"the link has {name} twice")
        if value and not ID.fullmatch(value):
            raise AdmissionError(
                "participant", f"{name} is '{value[:64]}': not an id (letters, digits, _ and -, 64 at most)"
            )
        given[name] = value
    if demanded and not given.get(PARTICIPANT):
        raise AdmissionError("participant", f"the link has no {PARTICIPANT}, by which this test knows its raters")
    return Participant(*(given.get(name) or None for name in (PARTICIPANT, STUDY, SESSION)))
