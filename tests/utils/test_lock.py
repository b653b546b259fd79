"""One process at a time in a folder."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from evagan_plugin.errors import EvaganError
from evagan_plugin.utils.lock import locked

HOLD = """
import sys, time
from evagan_plugin.utils.lock import locked
with locked(sys.argv[1]):
    print("in", flush=True)
    time.sleep(60)
"""


def test_another_process_keeps_us_out_until_it_dies(tmp_path: Path):
    folder = tmp_path / "new" / "folder"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "in\n"
        with pytest.raises(EvaganError, match=f"{folder} is in use by another process"), locked(folder, 0.3):
            raise AssertionError("two are in it")
    finally:
        holder.kill()
        holder.wait()
    with locked(folder, 0.3):
        pass


def test_who_has_patience_waits(tmp_path: Path):
    came: list[str] = []

    def visit(patience: float | None) -> None:
        with locked(tmp_path, patience):
            came.append("second")

    for patience in (None, 30.0):
        came.clear()
        with locked(tmp_path):
            thread = threading.Thread(target=visit, args=(patience,))
            thread.start()
            time.sleep(0.5)
            came.append("first")
        thread.join(timeout=30)
        assert came == ["first", "second"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(EvaganError, match=f"cannot write {tmp_path}/file"), locked(tmp_path / "file" / "exp"):
        pass
