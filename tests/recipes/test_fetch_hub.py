"""Data sets of the Hugging Face Hub: fetched in parts, gone on with, refused in one line."""

import random

import pytest
from hub import Hub, serve

REPO = "fish-audio-private/hifi-16kh"


@pytest.fixture
def dataset(tmp_path):
    """Five files of a data set, one in a folder with a name that is no pattern."""
    folder = tmp_path / "on the hub"
    for number, name in enumerate(["a.bin", "b.bin", "c [1]/d.bin", "e.bin", "README.md"]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(number).randbytes(3000 + number))
    return folder


@pytest.fixture
def fetch(recipe, run, tmp_path):
    """Return a function that runs fetch_hub.py against a Hub and returns what came of it."""
    place = recipe("hifi16kh_playerfm20kh/voc1")

    def call(hub, part="1/1", *patterns, **environment):
        environment = {**hub.environment, "HF_HOME": str(tmp_path / "home"), **environment}
        command = ("python", "utils/fetch_hub.py", REPO, tmp_path / "here", part, *patterns)
        return run(place, *command, **environment)

    return call


def found(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_parts_make_up_the_data_set_and_nothing_is_fetched_twice(dataset, fetch, tmp_path):
    with serve(Hub({REPO: dataset})) as hub:
        for part, count in (("1/2", 3), ("2/2", 5)):
            done = fetch(hub, part)
            assert done.returncode == 0, done.stderr
            assert len(found(tmp_path / "here")) == count
        before = len(hub.asked)
        done = fetch(hub)
        assert (done.returncode, "5 files, 0 to download" in done.stderr) == (0, True)
        assert (before, len(hub.asked)) == (5, 5)
    assert found(tmp_path / "here") == found(dataset)


def test_a_broken_off_file_goes_on_where_it_stopped(dataset, fetch, tmp_path):
    """huggingface_hub writes ten million bytes at a time."""
    (dataset / "a.bin").write_bytes(random.Random(0).randbytes(13_000_000))
    with serve(Hub({REPO: dataset}, cut_after=12_000_000)) as hub:
        done = fetch(hub, "1/1", "a.bin")
        if done.returncode:
            done = fetch(hub, "1/1", "a.bin")
        assert done.returncode == 0, done.stderr
        assert any(asked.startswith("bytes=") and not asked.startswith("bytes=0") for _, asked in hub.asked)
    assert found(tmp_path / "here") == {"a.bin": (dataset / "a.bin").read_bytes()}


def test_without_access_one_line_says_how_to_ask_for_it(dataset, fetch, tmp_path):
    with serve(Hub({REPO: dataset}, token="hf_right")) as hub:
        for token, said in (("", "HF_TOKEN is not set"), ("hf_wrong", "HF_TOKEN has no access")):
            done = fetch(hub, HF_TOKEN=token)
            assert done.returncode == 1
            assert "Traceback" not in done.stderr
            assert f"{said}): ask for access at {hub.url}/datasets/{REPO}" in done.stderr.splitlines()[-1]
        assert fetch(hub, HF_TOKEN="hf_right").returncode == 0
    assert found(tmp_path / "here") == found(dataset)


def test_a_repository_that_is_not_seen_is_told_alike(fetch):
    with serve(Hub()) as hub:
        done = fetch(hub)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"{REPO} is not open to you (HF_TOKEN is not set)" in done.stderr


def test_the_disk_is_asked_first(dataset, fetch):
    with serve(Hub({REPO: dataset}, sizes={"b.bin": 10**18})) as hub:
        done = fetch(hub)
        assert done.returncode == 1
        assert "5 files take 931322574.6 GiB and the disk has" in done.stderr
        assert not hub.asked
        assert fetch(hub, "1/1", "a.*").returncode == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [(["3/2"], "--part 3/2: it is K/N"), (["1/1", "*.flac"], "no file of the data set matches '*.flac'")],
)
def test_wrong_choices_are_told(dataset, fetch, options, said):
    with serve(Hub({REPO: dataset})) as hub:
        done = fetch(hub, *options)
    assert (done.returncode, said in done.stderr) == (2, True)


def test_no_network_is_one_line(fetch):
    done = fetch(Hub(url="http://127.0.0.1:9"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "run it again to go on" in done.stderr
