"""The doctor: what it lists, what it calls wrong, and its exit status."""

import importlib.metadata
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from evagan_plugin import doctor
from evagan_plugin.cli import app


def findings(hosts: bool = False) -> dict[str, doctor.Finding]:
    return {finding.subject: finding for finding in doctor.examine(hosts)}


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


def test_it_lists_what_is_installed():
    found = findings()
    for package in ("evagan-plugin", "torch", "wrapt"):
        assert found[package].text == importlib.metadata.version(package)
        assert not found[package].wrong
    assert not found["hook"].wrong
    assert {"python", "disk"} <= found.keys()


def test_a_version_that_is_not_the_required_one_is_wrong(versions):
    versions["torch"] = "1.13.0"
    assert findings()["torch"] == doctor.Finding("torch", "1.13.0, not ==2.11.*", wrong=True)


def test_a_host_that_is_not_imported_in_time_is_told(monkeypatch):
    monkeypatch.setattr(doctor, "HOST_SECONDS", 0.2)
    (found,) = doctor._registration("espnet", "import time; time.sleep(20)")
    assert found.wrong and "not examined: its import takes over 0.2 s" in found.text


def test_a_missing_requirement_is_wrong_and_names_the_command(versions):
    versions["wrapt"] = None
    found = findings()["requirements"]
    assert found.wrong
    assert found.text == "without wrapt: pip install evagan-plugin"


def test_an_extra_that_is_half_there_is_wrong_but_one_that_is_not_there_is_not(versions):
    versions |= {"six": None}
    assert findings()["extra coqui"] == doctor.Finding(
        "extra coqui", "without six: pip install 'evagan-plugin[coqui]'", wrong=True
    )
    versions |= dict.fromkeys(("coqui-tts", "coqui-tts-trainer", "torchcodec"))
    assert not findings()["extra coqui"].wrong


def test_a_hook_that_is_switched_off_is_wrong(monkeypatch):
    monkeypatch.setenv("EVAGAN_PLUGIN_AUTOLOAD", "0")
    result = CliRunner().invoke(app, ["doctor", "--no-hosts"])
    assert result.exit_code == 1
    assert "WRONG hook: switched off by EVAGAN_PLUGIN_AUTOLOAD=0" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("problem(s)")


def test_a_host_that_fails_with_us_is_wrong_with_its_last_line(monkeypatch):
    monkeypatch.setattr(doctor, "HOSTS", {"espnet": "json"})
    monkeypatch.setattr(doctor, "ASK_ESPNET", "raise RuntimeError('no such table')")
    assert findings(hosts=True)["json"] == doctor.Finding(
        "json", "cannot be imported with EVA-GAN: RuntimeError: no such table", wrong=True
    )


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
