"""Download a file, whole or not at all: ``fetch.py URL FILE``; a file that is there is left alone."""

import sys
from pathlib import Path

from evagan_plugin.errors import one_line_errors
from evagan_plugin.utils.fetch import fetch

if __name__ == "__main__":
    with one_line_errors("fetch.py"):
        fetch(sys.argv[1], Path(sys.argv[2]))
