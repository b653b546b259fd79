"""Download a data set of the Hugging Face Hub: ``fetch_hub.py REPO FOLDER PART [PATTERN ...]``.

``PART`` is ``K/N``: of the files, sorted by name, every N-th from the K-th on, so that several machines share the work.
A file that is there with the size that the Hub states is left alone, and one that was broken off goes on where it
stopped (huggingface_hub keeps what has come). Before anything is downloaded, the disk is asked whether it has room.
A token is taken from ``HF_TOKEN``.
"""

import fnmatch
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import disable_progress_bars

from evagan_plugin.errors import EvaganError, UsageError, library_errors, one_line_errors
from evagan_plugin.utils.parts import Part
from evagan_plugin.utils.progress import track

FILES_AT_ONCE = 4
GIB = 2**30


def list_files(repo: str) -> tuple[str, dict[str, int]]:
    """Return the revision of a data set and the sizes (bytes) of its files by their paths, sorted."""
    api = HfApi()
    revision = api.dataset_info(repo).sha
    tree = api.list_repo_tree(repo, recursive=True, revision=revision, repo_type="dataset")
    sizes = {entry.path: entry.size for entry in tree if hasattr(entry, "size")}
    return revision, dict(sorted(sizes.items()))


def chosen(names: list[str], part: str, patterns: list[str]) -> list[str]:
    """Return the names of a part that match one of the patterns; without patterns, all of the part.

    Raises:
        UsageError: If the part is not K/N, or a pattern matches nothing.
    """
    mine = Part.parse(part)
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise UsageError(f"no file of the data set matches '{pattern}'")
    wanted = [name for name in names if not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    return wanted[mine.number - 1 :: mine.count]


def check_room(folder: Path, missing: dict[str, int]) -> None:
    """Check that the disk has room for the files (raises :class:`EvaganError`); what has come of them counts."""
    folder.mkdir(parents=True, exist_ok=True)
    begun = sum(path.stat().st_size for path in (folder / ".cache").rglob("*.incomplete"))
    needed, free = max(sum(missing.values()) - begun, 0), shutil.disk_usage(folder).free
    if needed > free:
        raise EvaganError(
            f"{folder}: {len(missing)} files take {needed / GIB:.1f} GiB and the disk has {free / GIB:.1f}: "
            "make room, download a part of them (K/N), or choose another disk"
        )


def fetch_all(repo: str, folder: Path, part: str, patterns: list[str]) -> None:
    """Download a part of a data set.

    Raises:
        UsageError: As :func:`chosen`.
        HfHubHTTPError: If the Hub refuses.
        EvaganError: If it cannot be reached, or the disk is too small.
    """
    disable_progress_bars()
    with library_errors(f"{repo}, run it again to go on", HfHubHTTPError):
        revision, sizes = list_files(repo)
    names = chosen(list(sizes), part, patterns)
    missing = {name: sizes[name] for name in names if not _is_there(folder / name, sizes[name])}
    sys.stderr.write(f"{repo}: {len(names)} files, {len(missing)} to download\n")
    check_room(folder, missing)

    def fetch_one(name: str) -> None:
        with library_errors(f"{repo}: {name}, run it again to go on", HfHubHTTPError):
            hf_hub_download(repo, name, repo_type="dataset", revision=revision, local_dir=folder)
        if not _is_there(folder / name, sizes[name]):
            raise EvaganError(f"{folder / name}: not of {sizes[name]} bytes, as the Hub states; run it again")

    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        futures = [pool.submit(fetch_one, name) for name in missing]
        try:
            for future in track(futures, f"download {repo}"):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def main(repo: str, folder: Path, part: str, patterns: list[str]) -> None:
    """Download; without access say in one line how to ask for it."""
    try:
        fetch_all(repo, folder, part, patterns)
    except HfHubHTTPError as error:
        # A data set that is gated, or a private one, which is not even told of; or a token that is none.
        if not isinstance(error, RepositoryNotFoundError) and error.response.status_code not in (401, 403):
            reason = " ".join(str(error).split())
            raise EvaganError(f"{repo}, run it again to go on: {reason}") from error
        token = "HF_TOKEN has no access" if os.environ.get("HF_TOKEN") else "HF_TOKEN is not set"
        site = constants.ENDPOINT
        raise EvaganError(
            f"{repo} is not open to you ({token}): ask for access at {site}/datasets/{repo}, make a token at "
            f"{site}/settings/tokens, export HF_TOKEN=..., and run it again; or give the folder of a copy"
        ) from error


if __name__ == "__main__":
    with one_line_errors("fetch_hub.py"):
        main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
