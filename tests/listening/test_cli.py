"""The commands, as a user types them."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from evagan_plugin.cli import app, main
from evagan_plugin.listening.design.crowd import Crowd
from evagan_plugin.listening.design.design import load_design


def run(*arguments: object):
    return CliRunner().invoke(app, ["listen", *map(str, arguments)], catch_exceptions=False)


def fails(capsys, monkeypatch, *arguments: object) -> str:
    """Return the one line on standard error of a command that ends with status 2."""
    monkeypatch.setattr(sys, "argv", ["evagan", "listen", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    lines = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2 and len(lines) == 1
    return lines[0]


def test_create_status_report_export(corpus, tmp_path):
    folders = corpus(systems=("base", "big"))
    test = tmp_path / "test1"
    systems = ["--systems", f"base={folders['base']}", f"big={folders['big']}"]
    created = run("create", "--reference", folders["reference"], *systems, "--out", test, "--raters", "2")
    assert created.exit_code == 0 and "SMOS test at 16000 Hz" in created.stdout
    assert [system.name for system in load_design(test).systems][:2] == ["base", "big"]
    status = run("status", test, "--url", "https://lab.example").stdout
    assert "0 of 2 raters have finished" in status and status.count("https://lab.example/#") == 3
    exported = run("export", test).stdout
    assert exported.startswith("rater,order,trial") and exported.count("\n") == 1
    run("export", test, "--out", tmp_path / "votes.json")
    assert json.loads((tmp_path / "votes.json").read_text()) == []
    report = run("report", test)
    assert report.exit_code == 0 and "0 votes of 0 raters" in report.stdout
    assert (test / "report" / "report.json").is_file() and (test / "report" / "report.png").is_file()
    added = run("add", test, f"step100={folders['base']}", "--step", "100")
    assert added.exit_code == 0 and load_design(test).systems[-1].step == 100


def test_bad_usage_is_one_line(corpus, tmp_path, capsys, monkeypatch):
    folders = corpus(systems=("base",))
    create = ["create", "--reference", folders["reference"], "--out", tmp_path / "t"]
    capsys.readouterr()
    assert "no systems" in fails(capsys, monkeypatch, *create)
    assert "did you mean 'mushra'" in fails(capsys, monkeypatch, *create, folders["base"], "--protocol", "mushr")
    assert "does not exist" in fails(capsys, monkeypatch, *create, f"x={tmp_path}/nowhere")
    assert "no listening test" in fails(capsys, monkeypatch, "serve", tmp_path)
    assert "TLS needs both" in fails(capsys, monkeypatch, "serve", tmp_path, "--certificate", "a.pem")
    assert not (tmp_path / "t").exists()


def test_a_crowd_from_create_to_export(corpus, tmp_path, capsys, monkeypatch):
    folders, test = corpus(systems=("base",), count=2), tmp_path / "test1"
    create = ["create", "--reference", folders["reference"], folders["base"], "--out", test, "--protocol", "mos"]
    back = "https://app.prolific.com/submissions/complete?cc=C1A2B3"
    assert "complete?cc=CODE" in fails(capsys, monkeypatch, *create, "--completion-url", back.partition("?")[0])
    assert not test.exists()
    made = run(*create, "--prolific", "--completion-url", back, "--max-raters", 30, "--place-minutes", 45)
    assert "from Prolific, once each; at most 30, an unfinished session holds its place for 45 min" in made.stdout
    assert load_design(test).crowd == Crowd(True, back, None, 30, 45)
    status = run("status", test, "--url", "https://its.name/listening").stdout
    assert "0 of 30 places are taken" in status
    assert "https://its.name/listening/?PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID=" in status
    assert run("export", test, "--format", "p808").stdout.startswith("HITId,AssignmentId,WorkerId,AssignmentStatus,")
    assert run("export", test, "--format", "p808", "--out", tmp_path / "v.csv").exit_code == 0
    capsys.readouterr()
    assert "did you mean 'p808'" in fails(capsys, monkeypatch, "export", test, "--format", "p800")
    assert "not as .json" in fails(
        capsys, monkeypatch, "export", test, "--format", "p808", "--out", tmp_path / "v.json"
    )
    assert "not an address" in fails(capsys, monkeypatch, "serve", test, "--url", "its.name/listening")


def test_a_database_that_cannot_be_used_is_one_line(corpus, tmp_path, capsys, monkeypatch):
    folders = corpus(systems=("base",), count=2)
    create = ["create", "--reference", folders["reference"], folders["base"], "--out", tmp_path / "t"]
    monkeypatch.setattr(sys, "argv", ["evagan", "listen", *map(str, create), "--database", "nosql://x"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("evagan: error: --database 'nosql://x'")
    assert not (tmp_path / "t").exists()


def test_serve_says_when_its_port_is_in_use(make_test, serve):
    made = make_test(count=2)
    server = serve(made)
    code = "from evagan_plugin.cli import main; main()"
    command = [sys.executable, "-c", code, "listen", "serve", str(made.folder), "--port", str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
