"""Write the utterances of one category of a data directory: ``select_category.py DATA_DIR CATEGORY OUT_DIR``."""

import sys

from evagan_plugin.data.kaldi import DataDir
from evagan_plugin.errors import UsageError, nearest, one_line_errors


def main(source: str, category: str, target: str) -> None:
    """Read, select and write.

    Raises:
        UsageError: If the directory has no categories, or not this one.
    """
    data = DataDir.read(source)
    known = set(data.category.values())
    if not known:
        raise UsageError(f"{source}: no utt2kind in it; a column 'category' of the manifest makes it (stage 1)")
    if category not in known:
        raise UsageError(f"{source}: no utterance of category '{category}': {nearest(category, known)}")
    data.subset(key for key, value in data.category.items() if value == category).write(target)


if __name__ == "__main__":
    with one_line_errors("select_category.py"):
        main(*sys.argv[1:])
