"""Print where a model is: ``find_model.py PATH``, or the name of a model that comes with the package."""

import sys

from evagan_plugin.checkpoint.files import locate
from evagan_plugin.errors import one_line_errors

if __name__ == "__main__":
    with one_line_errors("find_model.py"):
        sys.stdout.write(f"{locate(sys.argv[1])}\n")
