"""Votes as files: every raw vote as a table, or what another program reads."""

import csv
import io
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evagan_plugin.errors import UsageError, nearest
from evagan_plugin.listening.design.design import ListeningTest
from evagan_plugin.listening.design.options import EXPORT_FORMS
from evagan_plugin.listening.votes.p808 import p808_csv
from evagan_plugin.listening.votes.store import Store
from evagan_plugin.utils.files import write_text

FIELDS = (
    "rater", "order", "trial", "kind", "item", "category", "slot", "system", "score", "plays", "reference_plays",
    "seconds", "shown_at", "answered_at", "stored_at", "labels", "marks", "expected",
)  # fmt: skip
"""Columns: ``order`` is the place in the rater's session, ``seconds`` the time from showing the trial to the answer."""


def export_votes(store: Store) -> list[dict[str, Any]]:
    """Return every vote as a dict of :data:`FIELDS`; times in ISO 8601, UTC."""
    rows = []
    for vote in store.votes():
        row = asdict(vote) | {"order": vote.position + 1}
        for clock in ("shown_at", "answered_at", "stored_at"):
            row[clock] = datetime.fromtimestamp(row[clock], UTC).isoformat(timespec="milliseconds")
        rows.append({name: row[name] for name in FIELDS})
    return rows


def votes_csv(store: Store) -> str:
    """Return every vote as CSV; labels, marks and expected answers as JSON in their columns."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in export_votes(store):
        writer.writerow(row | {name: json.dumps(row[name]) for name in ("labels", "marks", "expected")})
    return stream.getvalue()


def export_text(store: Store, design: ListeningTest, form: str, json_wanted: bool = False) -> str:
    """Return the votes in one of :data:`EXPORT_FORMS`, as CSV or (``votes`` only) as JSON.

    Raises:
        UsageError: If the form is unknown, is not written as JSON, or cannot hold the test.
    """
    if form not in EXPORT_FORMS:
        raise UsageError(f"unknown form '{form}': {nearest(form, EXPORT_FORMS)}")
    if form == "p808":
        if json_wanted:
            raise UsageError("the form p808 is written as .csv, not as .json")
        return p808_csv(store, design)
    return json.dumps(export_votes(store), indent=1, ensure_ascii=False) + "\n" if json_wanted else votes_csv(store)


def write_votes(store: Store, design: ListeningTest, path: Path, form: str) -> None:
    """Write the votes to a ``.csv`` or ``.json`` file.

    Raises:
        UsageError: If the suffix is neither, or as :func:`export_text` says.
    """
    if path.suffix not in (".csv", ".json"):
        raise UsageError(f"{path}: votes are written as .csv or .json, not as '{path.suffix}'")
    write_text(path, export_text(store, design, form, path.suffix == ".json"))
