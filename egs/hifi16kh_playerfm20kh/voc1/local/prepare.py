"""Write data directories of the paper's corpora: ``prepare.py CORPORA EFFECTS_DIR DATA_DIR HELD_OUT SEED``.

How the corpora are laid out is known to those who have access: whatever audio files lie below a corpus are its
recordings. ``EFFECTS_DIR`` may be empty.
"""

import sys
from pathlib import Path

from evagan_plugin.data.sources import folder_source, write_sources
from evagan_plugin.errors import UsageError, one_line_errors

CORPORA = {"music": "hifi-16kh", "speech": "playerfm-20000h"}
"""Folder of each source."""


def main(corpora: Path, effects: str, data_dir: Path, held_out: int, seed: int) -> None:
    """Write the sources, ``dev`` and ``test``.

    Raises:
        UsageError: If a corpus is missing or has no audio.
    """
    folders = {name: corpora / folder for name, folder in CORPORA.items()}
    if effects:
        folders["effects"] = Path(effects)
    for folder in folders.values():
        if not folder.is_dir():
            raise UsageError(f"{folder}: there is no such folder; {' and '.join(CORPORA.values())} lie in {corpora}")
    sources = {name: folder_source(name, folder, held_out, seed) for name, folder in folders.items()}
    write_sources(data_dir, sources)


if __name__ == "__main__":
    with one_line_errors("prepare.py"):
        main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), *map(int, sys.argv[4:6]))
