"""The doctor: what it lists, what it calls wrong, and its exit status."""

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec

import pytest
from typer.testing import CliRunner

from evagan_plugin import doctor
from evagan_plugin.cli import app
from evagan_plugin.doctor import Question


def by_subject(found: Iterable[doctor.Finding]) -> dict[str, doctor.Finding]:
    return {finding.subject: finding for finding in found}


@pytest.fixture
def versions(monkeypatch):
    """Pretend other versions; None for a package that is not installed."""
    real = importlib.metadata.version
    pretended: dict[str, str | None] = {}

    def version(name: str) -> str:
        found = pretended.get(name, real)
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name) if found is real else found

    monkeypatch.setattr(importlib.metadata, "version", version)
    return pretended


def test_it_lists_what_is_installed_and_tries_it():
    found = by_subject(doctor.examine(hosts=False))
    for package in ("evagan-plugin", "torch", "wrapt"):
        assert found[package].text == importlib.metadata.version(package)
        assert not found[package].wrong
    assert not found["hook"].wrong
    assert {"python", "disk", "cpu"} <= found.keys()
    assert not found["cpu"].wrong and not found["metrics"].wrong
    if find_spec("torchcrepe"):
        for metric in ("m_stft", "log_mel_l1", "pesq_wb", "vuv_f1_tiny"):
            assert metric in found["metrics"].text


def test_a_version_that_is_not_the_required_one_is_wrong(versions):
    versions["torch"] = "1.13.0"
    assert by_subject(doctor.packages())["torch"] == doctor.Finding("torch", "1.13.0, not ==2.11.*", wrong=True)


@pytest.fixture
def question(tmp_path, monkeypatch):
    """Return what asks a module of this source."""

    def make(source: str) -> doctor.Question:
        name = f"asked_{len(list(tmp_path.iterdir()))}"
        (tmp_path / f"{name}.py").write_text(source)
        return doctor.Question("a host", name, ("torch",))

    monkeypatch.syspath_prepend(tmp_path)
    return make


def test_a_process_of_its_own_answers_and_what_it_prints_is_not_seen(question, capfd):
    asked = question(
        "import os, sys\nfrom evagan_plugin.utils.finding import Finding\n"
        "def examine(*names):\n"
        "    print('to both', file=sys.stderr); os.system('echo loud')\n"
        "    yield Finding(names[0], str(os.getppid()))\n"
    )
    (found,) = asked.ask()
    assert found.subject == "torch" and found.text != str(os.getppid())
    assert "".join(capfd.readouterr()) == ""


def test_a_host_that_is_not_imported_in_time_is_reported(monkeypatch, question):
    asked = question("import time; time.sleep(20)")
    monkeypatch.setattr(doctor, "SECONDS", 0.2)
    (found,) = asked.ask()
    assert found.wrong and "not examined: its import takes over 0.2 s" in found.text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("raise RuntimeError('no such\\ntable')", "cannot be imported with EVA-GAN: RuntimeError: no such table"),
        ("import no_such_package_at_all", "cannot be imported with EVA-GAN: ModuleNotFoundError: No module named"),
        ("import os; os.kill(os.getpid(), 11)", "ends Python: Segmentation fault"),
        ("import os; os._exit(7)", "ends Python: exit status 7"),
        ("raise SystemExit(3)", "ends Python: exit status 3"),
    ],
)
def test_a_host_that_fails_with_us_is_wrong_with_its_last_line(source, text, question):
    (found,) = question(source).ask()
    assert found.wrong and found.subject == "a host"
    assert found.text.startswith(text)


def test_a_package_that_is_there_and_cannot_be_imported_is_wrong(tmp_path, monkeypatch):
    (tmp_path / "numba_without_cache.py").write_text("raise RuntimeError('cannot cache: no locator available')")
    monkeypatch.syspath_prepend(tmp_path)
    found = by_subject(Question("packages", "evagan_plugin.evaluation.examine", ("numba-without-cache", "numpy")).ask())
    assert found["numba-without-cache"] == doctor.Finding(
        "numba-without-cache", "cannot be imported: RuntimeError: cannot cache: no locator available", wrong=True
    )
    assert "numpy" not in found  # its version is listed already


def test_a_missing_requirement_is_wrong_and_names_the_command(versions):
    versions["wrapt"] = None
    found = by_subject(doctor.packages())["requirements"]
    assert found.wrong
    assert found.text == "without wrapt: pip install evagan-plugin"


def test_an_extra_that_is_half_there_is_wrong_but_one_that_is_not_there_is_not(versions):
    versions |= {"six": None}
    assert by_subject(doctor.packages())["extra coqui"] == doctor.Finding(
        "extra coqui", "without six: pip install 'evagan-plugin[coqui]'", wrong=True
    )
    versions |= dict.fromkeys(("coqui-tts", "coqui-tts-trainer", "torchcodec"))
    assert not by_subject(doctor.packages())["extra coqui"].wrong


def test_a_hook_that_is_switched_off_is_wrong(monkeypatch):
    monkeypatch.setenv("EVAGAN_PLUGIN_AUTOLOAD", "0")
    monkeypatch.setattr(doctor, "questions", lambda hosts: [])
    result = CliRunner().invoke(app, ["doctor", "--no-hosts"])
    assert result.exit_code == 1
    assert "WRONG hook: switched off by EVAGAN_PLUGIN_AUTOLOAD=0" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("problem(s)")


@pytest.mark.slow
@pytest.mark.parametrize(("autoload", "status"), [("1", 0), ("0", 1)])
def test_the_command_shows_what_the_hosts_have(autoload, status):
    pytest.importorskip("espnet2", reason="the extra 'espnet' is not installed")
    done = subprocess.run(
        [sys.executable, "-c", "from evagan_plugin.cli import main; main()", "doctor"],
        env={**os.environ, "EVAGAN_PLUGIN_AUTOLOAD": autoload},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == status, done.stdout
    shown = "espnet2.gan_tts.joint.joint_text2wav.AVAILABLE_VOCODER: eva_gan, eva_gan_generator" in done.stdout
    assert shown == (autoload == "1")
