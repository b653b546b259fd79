"""Every raw vote as a table."""

import csv
import io
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evagan_plugin.errors import UsageError
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


def write_votes(store: Store, path: Path) -> None:
    """Write every vote to a ``.csv`` or ``.json`` file.

    Raises:
        UsageError: If the suffix is neither.
    """
    if path.suffix == ".json":
        write_text(path, json.dumps(export_votes(store), indent=1, ensure_ascii=False) + "\n")
    elif path.suffix == ".csv":
        write_text(path, votes_csv(store))
    else:
        raise UsageError(f"{path}: votes are written as .csv or .json, not as '{path.suffix}'")
