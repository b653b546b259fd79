"""What the commands load: making, serving and analysing a test of one sample rate starts without torch."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from listening_bench import EVAGAN, Made

HEAVY = {"torch", "torchaudio", "espnet2", "TTS", "librosa", "soundfile", "scipy", "matplotlib"}
WATCHED = f"""
import atexit, sys
atexit.register(lambda: print("loaded:", *sorted({HEAVY!r} & set(sys.modules))))
{EVAGAN}
"""
"""``evagan`` that prints at its end which of :data:`HEAVY` it has loaded."""


def loaded(*arguments: object) -> str:
    """Run ``evagan listen``; return what it printed last."""
    command = [sys.executable, "-c", WATCHED, "listen", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture
def on_disk(corpus, tmp_path: Path) -> tuple[Made, str]:
    """A test that ``evagan listen create`` made, and what that loaded."""
    folders = corpus(systems=("good", "bad"), count=3)
    made = Made(tmp_path / "test")
    create = ["create", "--reference", folders["reference"], f"good={folders['good']}", "--out", made.folder]
    return made, loaded(*create)


def test_create_add_report_and_export_load_no_torch(on_disk, tmp_path):
    made, by_create = on_disk
    assert by_create == "loaded: scipy soundfile"
    assert loaded("add", made.folder, f"bad={tmp_path / 'corpus' / 'bad'}", "--step", 10) == "loaded: scipy soundfile"
    assert [system.name for system in made.design.systems if system.role == "system"] == ["good", "bad"]
    assert loaded("report", made.folder) == "loaded: matplotlib"
    assert (made.folder / "report" / "report.png").is_file()
    assert loaded("export", made.folder) == "loaded:"


def test_serve_loads_nothing_of_the_kind(make_test, serve):
    made = make_test(count=2)
    server = serve(made, None, WATCHED)
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {made.tokens[0]}"}) as rater:
        session = rater.post("/api/start", json={"language": "en"}).json()
        assert rater.get(f"/api/audio/{session['trials'][0]['samples'][0]['audio']}").status_code == 200
    report = httpx.get(f"{server.url}/api/admin/report", headers={"Authorization": f"Bearer {made.admin}"})
    assert report.json()["systems"][0]["system"] == "good"
    assert server.interrupt().splitlines()[-1] == "loaded:"
