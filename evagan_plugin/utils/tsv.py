"""Tables of tab-separated values."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from evagan_plugin.utils.files import write_text


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table with a line of column names, whole or not at all; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    write_text(path, text.getvalue())
