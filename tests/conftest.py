"""Fixtures that every test folder shares."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Before torch is imported, here and in every command that a test starts: the models are too small for threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_audio() -> Path:
    """Folder with ``fullband/`` and ``lowrate/`` (manifest.tsv in each): real audio that is not in the repository."""
    folder = Path(os.environ.get("EVAGAN_TEST_AUDIO", REPOSITORY.parent / "shared" / "audio"))
    if not (folder / "lowrate" / "manifest.tsv").is_file():
        pytest.skip(f"no real audio at {folder}: set EVAGAN_TEST_AUDIO to a folder that has lowrate/manifest.tsv")
    return folder


@pytest.fixture
def evagan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """Return the command as a function: ``evagan("score", ...)`` gives exit status, standard output and error."""
    from evagan_plugin.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evagan", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run
