"""Print the names of the sources of a mix that lie in a folder, a line each: ``mix_sources.py MIX_YAML FOLDER``."""

import os
import sys

from evagan_plugin.data.mix import read_mix
from evagan_plugin.errors import one_line_errors


def main(mix: str, folder: str) -> None:
    """Print them; sources that have no share are not used, and left out."""
    paths = [os.path.split(os.path.normpath(source.path)) for source in read_mix(mix).used]
    sys.stdout.writelines(f"{name}\n" for parent, name in paths if parent == os.path.normpath(folder))


if __name__ == "__main__":
    with one_line_errors("mix_sources.py"):
        main(*sys.argv[1:3])
