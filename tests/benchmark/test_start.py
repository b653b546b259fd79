"""The benchmark of starts: what it times, what it prints, and the ratios that are promised."""

import re

import pytest
from typer.testing import CliRunner

from evagan_plugin.benchmark.start import COMMANDS, Command, start_seconds
from evagan_plugin.errors import EvaganError, UsageError


def run(*arguments: str) -> str:
    from evagan_plugin.benchmark.__main__ import app

    done = CliRunner().invoke(app, ["start", *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def rows(output: str) -> dict[str, tuple[float, float, str]]:
    found = re.findall(r"^\| `(.*)` \| ([\d.]+) \| ([\d.]+) \| (.*) \|$", output, re.MULTILINE)
    return {shown: (float(seconds), float(ratio), bound) for shown, seconds, ratio, bound in found}


@pytest.mark.slow
def test_hook_and_commands_are_printed_with_what_is_wanted():
    output = run("info", "--rounds", "2", "--repeats", "1")
    assert re.match(
        r"evagan_plugin\.pth: median [\d.]+ ms, least [\d.]+ ms, most [\d.]+ ms of 2 interpreters\n", output
    )
    torch, info = rows(output).values()
    assert torch[1:] == (1.0, "")
    assert info[2] == "at most 1.5"
    assert info[1] == pytest.approx(info[0] / torch[0], abs=0.02)
    assert info[1] <= 1.5, "info does not wait for PyTorch"


def test_a_command_that_ends_otherwise_is_one_error():
    with pytest.raises(EvaganError, match=r"x ended with status 3: no word"):
        start_seconds({"x": Command("x", ("-c", "raise SystemExit(3)"))}, 1)


def test_an_unknown_command_is_refused():
    with pytest.raises(UsageError, match="did you mean 'info'"):
        run("inf")


@pytest.mark.slow
def test_starts_keep_what_is_promised():
    found = rows(run("--rounds", "1", "--repeats", "3"))
    for command in COMMANDS.values():
        assert command.wanted is None or found[command.shown][1] <= command.wanted, command.shown
