"""Fixtures of the tests of data: a disk that fills."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A file system in memory, of the size that it is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, size: str) -> None:
        """Make it as large as this, ``20m`` for example."""
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], SmallDisk]]:
    """Return a function that mounts a disk of a size."""
    disk = SmallDisk(tmp_path / "disk")
    disk.folder.mkdir()

    def mount(size: str) -> SmallDisk:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk.folder)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here (only root can)")
        return disk

    yield mount
    if disk.folder.is_mount():
        # Lazily: files may still be open, of a traceback for example.
        subprocess.run(["umount", "--lazy", str(disk.folder)], check=True)
