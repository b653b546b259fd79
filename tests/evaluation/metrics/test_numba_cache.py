"""numba finds a place to write in a read-only installation without a home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evagan_plugin.utils import numba_cache
from evagan_plugin.utils.numba_cache import VARIABLE, make_numba_cache


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file, below which nothing can be made, as home, cache and installation."""
    path = tmp_path / "file"
    path.write_text("")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(path / "home"))
    monkeypatch.setattr(numba_cache.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(numba_cache, "_sources", lambda: [path / "librosa"])
    return path


@pytest.mark.parametrize("named", [None, "below a file"])
def test_it_is_temporary_where_nothing_else_is_open(closed, named, monkeypatch):
    if named:
        monkeypatch.setenv(VARIABLE, str(closed / "named"))
    make_numba_cache()
    chosen = Path(os.environ[VARIABLE])
    assert chosen.parent == closed.parent and chosen.stat().st_mode & 0o022 == 0
    make_numba_cache()
    assert Path(os.environ[VARIABLE]) == chosen


def test_a_place_that_is_open_stays(closed, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_numba_cache()
    assert VARIABLE not in os.environ
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    make_numba_cache()
    assert os.environ[VARIABLE] == str(tmp_path / "mine")


def test_a_directory_of_others_is_not_used(closed, tmp_path):
    folder = tmp_path / f"evagan_numba_{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    make_numba_cache()
    assert Path(os.environ[VARIABLE]) != folder


def test_the_default_metrics_compile_with_it(tmp_path):
    pytest.importorskip("librosa")
    (tmp_path / "file").write_text("")
    code = (
        "import importlib.machinery, evagan_plugin.utils.numba_cache as c; c._sources = lambda: [c.Path('file/x')]\n"
        "from evagan_plugin.evaluation.metrics.base import require_quietly\n"
        "require_quietly('librosa'); import os; from numba.core import config\n"
        "assert config.CACHE_DIR == os.environ['NUMBA_CACHE_DIR'], config.CACHE_DIR"
    )
    env = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "XDG_CACHE_HOME")}
    env |= {"HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, check=True)


@pytest.mark.parametrize("host", ["espnet", "coqui"])
@pytest.mark.parametrize("closed", [True, False])
def test_a_host_that_is_imported_has_it_too(tmp_path, host, closed):
    """Their own librosa compiles the same functions."""
    (tmp_path / "file").write_text("")
    code = (
        "import os, evagan_plugin.utils.numba_cache as c; c._sources = lambda: [c.Path('file/x')]\n"
        f"from evagan_plugin.{host}.register import register; register(); print('NUMBA_CACHE_DIR' in os.environ)"
    )
    env = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "XDG_CACHE_HOME")}
    env |= {"HOME": str(tmp_path / "file" if closed else tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout == f"{closed}\n"
