"""Commands of ESPnet and their wrappers, as a user starts them."""

import os
import subprocess
import sys


def run(*words: object, autoload: str = "1") -> subprocess.CompletedProcess:
    """Run Python with these words behind it, in a process of its own: ``run("-m", "espnet2.bin....", ...)``.

    Args:
        words: Its options and arguments.
        autoload: ``EVAGAN_PLUGIN_AUTOLOAD`` in its environment.
    """
    return subprocess.run(
        [sys.executable, "-W", "ignore", *map(str, words)],
        env={**os.environ, "EVAGAN_PLUGIN_AUTOLOAD": autoload, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
