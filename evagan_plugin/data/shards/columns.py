"""What is known of each utterance beside its audio: where its line is in each table, so that no table is in memory."""

import csv
import json
import os
from array import array
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from evagan_plugin.audio.archive import source_state
from evagan_plugin.data.curation.curate import KEPT, TABLE
from evagan_plugin.data.curation.items import NAMES
from evagan_plugin.data.curation.measuring import COLUMNS, Row
from evagan_plugin.data.index import DirIndex
from evagan_plugin.data.index_packed import line_at
from evagan_plugin.data.index_tables import in_order, lines_of
from evagan_plugin.data.kaldi import OPTIONAL_TABLES
from evagan_plugin.errors import UsageError, some
from evagan_plugin.utils.files import atomic_path, write_text
from evagan_plugin.utils.lock import locked
from evagan_plugin.utils.progress import track

STATE = "columns.json"
NOWHERE = 2**64 - 1
"""Place of a line that a table has not."""
CURATION = "curation"
TEXT = "text"
SHOWN = ("utt_id", "audio_filepath", "offset", *NAMES)
"""Columns of the curation that stand beside its own: not repeated in it."""


class Columns:
    """Texts, speakers, languages, categories and lines of ``curation.tsv`` by the number of an utterance.

    Args:
        index: The utterances.
        folder: Where the places are, made by :func:`open_columns`.
    """

    def __init__(self, index: DirIndex, folder: Path) -> None:
        self._places, self._files, self._rows = {}, {}, TypeAdapter(Row)
        self._paths = tables_of(index.data)
        for column, path in self._paths.items():
            self._places[column] = np.load(_array(folder, column), mmap_mode="r")
            self._files[column] = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        for file in getattr(self, "_files", {}).values():
            os.close(file)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return what is known of an utterance; under ``curation`` what was measured (raises :class:`UsageError`)."""
        found: dict[str, Any] = {}
        for column, places in self._places.items():
            if (place := int(places[number])) == NOWHERE:
                continue
            line = line_at(self._files[column], place).decode()
            if column == CURATION:
                found[column] = self._measured(line)
                continue
            name, *value = line.split(maxsplit=1)
            # Each utterance its own speaker is what is written where nobody knows.
            if value and (column, value[0].strip()) != ("speaker", name):
                found[column] = value[0].strip()
        return found

    def _measured(self, line: str) -> dict[str, Any]:
        cells = next(csv.reader([line], delimiter="\t"))
        values = {column: cell for column, cell in zip(COLUMNS, cells, strict=False) if cell}
        try:
            row = self._rows.validate_python(values).values()
        except ValidationError as error:
            wrong = error.errors()[0]
            raise UsageError(
                f"{self._paths[CURATION]}: '{'.'.join(map(str, wrong['loc']))}' of '{cells[0]}': {wrong['msg']}: run "
                "`evagan curate` again"
            ) from None
        return {column: value for column, value in row.items() if value is not None and column not in SHOWN}


def tables_of(data: Path) -> dict[str, Path]:
    """Return the tables of a data directory by the columns that are in them."""
    files = {TEXT: TEXT, **{column: OPTIONAL_TABLES[name] for column, name in NAMES.items()}}
    if not (data / files["category"]).is_file():
        files["category"] = OPTIONAL_TABLES["category"]
    paths = {column: data / file for column, file in files.items()}
    if data.name == KEPT:
        paths[CURATION] = data.parent / TABLE
    return {column: path for column, path in paths.items() if path.is_file()}


def open_columns(index: DirIndex, folder: Path) -> Columns:
    """Return the columns of a data directory; places are found anew where a table has changed.

    Raises:
        UsageError: If a table, other than that of the texts, lacks utterances, or is malformed.
    """
    tables = {column: source_state(path) for column, path in tables_of(index.data).items()}
    state = json.dumps([index.state.tables, tables])
    with locked(folder):
        if not (folder / STATE).is_file() or (folder / STATE).read_text(encoding="utf-8") != state:
            _find_places(index, folder)
            write_text(folder / STATE, state)
    return Columns(index, folder)


def _find_places(index: DirIndex, folder: Path) -> None:
    paths = tables_of(index.data)
    find = {
        column: in_order((name, place) for place, name, _ in lines_of(path, values_needed=False))
        for column, path in paths.items()
    }
    places = {column: array("Q") for column in paths}
    lacking: dict[str, list[str]] = {}
    for number in track(range(len(index)), f"look up {index.data}"):
        name = index.name(number)
        for column in paths:
            place = find[column](name)
            if place is None and column != TEXT:
                lacking.setdefault(column, []).append(name)
            places[column].append(NOWHERE if place is None else place)
    for column, names in lacking.items():
        raise UsageError(f"{paths[column]}: {len(names)} utterances are not in it: {some(names)}")
    for column, values in places.items():
        with atomic_path(_array(folder, column)) as path:
            np.save(path, np.frombuffer(values, values.typecode))


def _array(folder: Path, column: str) -> Path:
    return folder / f"{column}.npy"
