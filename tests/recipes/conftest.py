"""Fixtures of the recipe tests: the recipes as they are checked out, run in copies of their directories."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster, networks_of_nodes, running_cluster, why_not

Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="session")
def egs(repository) -> Path:
    return repository / "egs"


@pytest.fixture
def recipe(egs, tmp_path) -> Callable[[str], Path]:
    """Return a function that lays out a recipe in a scratch directory, sharing its files with the checkout."""

    def lay_out(name: str) -> Path:
        place = tmp_path / name
        place.mkdir(parents=True)
        for entry in (egs / name).iterdir():
            if entry.name in {"data", "dump", "exp", "downloads"}:
                continue
            if entry.is_symlink() or entry.is_dir():
                (place / entry.name).symlink_to(entry.resolve())
            else:
                shutil.copy(entry, place)
        return place

    return lay_out


@pytest.fixture
def run() -> Run:
    """Return a function that runs a command in a directory and returns what came of it, output as text."""

    def call(directory: Path, *command: object, **environment: str) -> subprocess.CompletedProcess:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            [str(word) for word in command],
            cwd=directory,
            env={**os.environ, "PATH": path, **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return call


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """A SLURM cluster of two nodes on this machine."""
    if reason := why_not():
        pytest.skip(reason)
    with running_cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
def networked_cluster(tmp_path_factory) -> Iterator[Cluster]:
    """A SLURM cluster whose nodes have networks of their own, as machines do."""
    if reason := why_not():
        pytest.skip(reason)
    with networks_of_nodes() as network:
        if network is None:
            pytest.skip("no network namespaces can be made here (iproute2, root)")
        with running_cluster(tmp_path_factory.mktemp("slurm"), network) as cluster:
            yield cluster
