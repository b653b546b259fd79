"""Unpack every archive (tar, zip) below a folder into ``ARCHIVE.unpacked`` beside it: ``unpack.py FOLDER``.

What is unpacked is not unpacked again, and a folder is there only when it is whole. The archives stay: without them
they would be downloaded again.
"""

import shutil
import sys
from pathlib import Path

from evagan_plugin.data.utterances import files_below
from evagan_plugin.errors import EvaganError, library_errors, one_line_errors
from evagan_plugin.utils.progress import track

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
GIB = 2**30


def unpack(archive: Path) -> None:
    """Unpack an archive, unless it is.

    Raises:
        EvaganError: If it is damaged, or the disk has not as much room as it takes itself.
    """
    target = archive.with_name(f"{archive.name}.unpacked")
    if target.is_dir():
        return
    size, free = archive.stat().st_size, shutil.disk_usage(archive.parent).free
    if size > free:
        raise EvaganError(f"{archive}: {size / GIB:.1f} GiB to unpack and the disk has {free / GIB:.1f}: make room")
    unfinished = archive.with_name(f".{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    with library_errors(f"{archive}, download it again"):
        shutil.unpack_archive(archive, unfinished, filter=None if archive.suffix == ".zip" else "data")
        unfinished.rename(target)


def main(folder: Path) -> None:
    """Unpack all."""
    found = files_below(folder, {Path(f"a{suffix}").suffix for suffix in SUFFIXES})
    for archive in track([path for path in found if path.name.endswith(SUFFIXES)], "unpack"):
        unpack(archive)


if __name__ == "__main__":
    with one_line_errors("unpack.py"):
        main(Path(sys.argv[1]))
