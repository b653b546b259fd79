"""A usage error comes before anything slow is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

SLOW = ("torch", "torchaudio", "espnet2", "TTS", "scipy", "matplotlib")


def run(folder: Path, *arguments: str) -> tuple[int, str, list[str]]:
    """Return exit status, standard error, and which of the slow modules were imported."""
    code = (
        "import sys\n"
        "from evagan_plugin.cli import main\n"
        f"sys.argv = ['evagan', *{arguments!r}]\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print([name for name in {SLOW!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr, eval(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("synth MODEL nothing out", "there is no file or directory nothing"),
        ("synth nothing in out", "there is no checkpoint nothing"),
        ("synth empty in out", "empty has no model.safetensors"),
        ("synth vocos:nothing in out", "vocos: there is no file nothing"),
        ("synth vocoss:nothing in out", "did you mean 'vocos'?"),
        ("synth MODEL in", "Missing argument 'OUT_DIR'"),
        ("synth MODEL empty out", "empty: nothing to synthesize"),
        ("synth MODEL in out --dtype float31", "'float31' is not one of"),
        ("score nothing in", "nothing does not exist"),
        ("score in x=nothing", "nothing does not exist"),
        ("score in x=in x=in", "two systems are called 'x'"),
        ("compare in x=nothing --out o", "nothing does not exist"),
        ("compare in x=in --out o --model x", "--model x: NAME=PATH"),
        ("plot nothing x=in --out a.png", "nothing does not exist"),
        ("format nothing out --sample-rate 16000", "nothing: is not a directory"),
        ("format in out --sample-rate 0", "greater than or equal to 1"),
        ("convert nothing out", "there is no checkpoint nothing"),
        ("curate in out --part 9/3", "--part 9/3: it is K/N"),
        ("shard in out --sample-rate 16000 --part 9/3", "--part 9/3: it is K/N"),
        ("shard in out --sample-rate 0", "greater than or equal to 1"),
        ("shard in out", "Missing option '--sample-rate'"),
        ("curate in out --rules rules.yaml", "did you mean 'min_bandwidth'?"),
        ("pack nothing out", "there is no checkpoint nothing"),
    ],
)
def test_a_wrong_argument_waits_for_nothing(tmp_path: Path, command: str, said: str):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").write_bytes(b"")
    (tmp_path / "MODEL").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "rules.yaml").write_text("min_bandwith: 3")
    status, errors, slow = run(tmp_path, *command.split())
    assert status == 2
    assert said in errors and errors.count("\n") == 1
    assert slow == []
