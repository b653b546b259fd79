"""What was measured, as Markdown and JSON."""

import json
from pathlib import Path

from evagan_plugin.benchmark.gpu.measures import Row
from evagan_plugin.benchmark.gpu.plan import Section
from evagan_plugin.benchmark.rivals import HIFIGAN
from evagan_plugin.utils.files import write_text
from evagan_plugin.utils.markdown import markdown_table

OF_HIFIGAN = "of HiFi-GAN's"


def write(out: Path, head: str, facts: dict[str, object], sections: list[Section]) -> str:
    """Write ``gpu.md`` and ``gpu.json``, each whole, and return the Markdown.

    Args:
        out: The directory.
        head: First lines of the Markdown.
        facts: What the JSON begins with.
        sections: With what was measured so far.
    """
    parts = [head]
    for section in sections:
        rows = with_ratios(section)
        parts.append(f"## {section.title}\n\n{section.text}\n\n{_table(rows) if rows else 'Nothing was measured.'}\n")
    text = "\n".join(parts)
    write_text(out / "gpu.md", text)
    content = facts | {"sections": {section.name: with_ratios(section) for section in sections}}
    write_text(out / "gpu.json", json.dumps(content, indent=1) + "\n")
    return text


def with_ratios(section: Section) -> list[Row]:
    """Return the rows of a section, those beside one of HiFi-GAN with the ratio to it."""
    if section.ratio is None:
        return section.rows
    value, name = section.ratio
    measured = [row for row in section.rows if value in row]
    keys = [key for key in (section.cases[0].labels if section.cases else ()) if key != name]
    theirs = {tuple(row[key] for key in keys): row[value] for row in measured if row[name] == HIFIGAN}
    rows = []
    for row in section.rows:
        place = tuple(row[key] for key in keys)
        rows.append(row | {OF_HIFIGAN: row[value] / theirs[place]} if value in row and place in theirs else row)
    return rows


def _table(rows: list[Row]) -> str:
    head = list(dict.fromkeys(key for row in rows for key, value in row.items() if not isinstance(value, dict)))
    return markdown_table(head, ([_cell(row.get(key, "")) for key in head] for row in rows))


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
