"""Lay a training config that states differences over a base: ``layer_config.py BASE DIFFERENCES OUT``."""

import sys
from pathlib import Path

import yaml

from evagan_plugin.config import merge_settings, read_settings
from evagan_plugin.errors import one_line_errors
from evagan_plugin.utils.files import write_text


def main(base: str, differences: str, out: str) -> None:
    """Write the merged config, unless it is there already: its age tells what was made from it."""
    text = f"# {base} with the differences of {differences}\n"
    text += yaml.safe_dump(merge_settings(read_settings(base), read_settings(differences)), sort_keys=False)
    if not Path(out).is_file() or Path(out).read_text(encoding="utf-8") != text:
        write_text(out, text)


if __name__ == "__main__":
    with one_line_errors("layer_config.py"):
        main(*sys.argv[1:])
