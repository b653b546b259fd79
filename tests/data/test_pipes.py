"""Commands in a wav.scp: run where that is allowed, told in one line where not, and never by another way."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from evagan_plugin.audio.archive import audio_file
from evagan_plugin.audio.io import load_audio
from evagan_plugin.audio.pipe import Pipe
from evagan_plugin.data.formatting import format_data_dir
from evagan_plugin.data.kaldi import read_scp
from evagan_plugin.errors import EvaganError

MODEL = "eva_gan_tiny_16k"


@pytest.fixture
def wavs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Three files of noise under names that a shell has to quote, and a wav.scp of commands that write them."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    found = {key: np.round(3000 * rng.standard_normal(8000)).astype(np.int16) for key in ("u1", "u2", "u3")}
    for key, wav in found.items():
        soundfile.write(f"a {key}.wav", wav, 16000)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/wav.scp").write_text(
        "u1 cat './a u1.wav' |\nu2 cat 'a u2.wav' | cat |\nu3 sh -c \"exec cat './/a u3.wav'\" 2> /dev/null |\n"
    )
    (tmp_path / "data/utt2spk").write_text("u1 a\nu2 a\nu3 a\n")
    return found


def test_format_runs_them_and_files_come_out(wavs, evagan):
    status, _, errors = evagan("format", "data", "out", "--sample-rate", 16000)
    assert status == 2 and "which is not run: convert it to a file first" in errors and errors.count("\n") == 1
    assert not Path("out").exists()
    status, _, errors = evagan("format", "data", "out", "--sample-rate", 16000, "--allow-pipes")
    assert status == 0, errors
    for key, wav in wavs.items():
        assert np.array_equal(soundfile.read(f"out/data/{key}.wav", dtype="int16")[0], wav)
    assert format_data_dir(Path("data"), Path("out"), 16000, pipes=True).kept == 3


def test_segments_are_cut_from_what_a_command_writes(wavs):
    Path("data/segments").write_text("s1 u1 0.1 0.3\ns2 u1 0.2 -1\ns3 u2 0 0.25\n")
    Path("data/utt2spk").write_text("s1 a\ns2 a\ns3 a\n")
    assert not format_data_dir(Path("data"), Path("out"), 16000, pipes=True).broken
    assert np.array_equal(soundfile.read("out/data/s1.wav", dtype="int16")[0], wavs["u1"][1600:4800])


def test_every_command_that_reads_audio_runs_them(wavs, evagan):
    for command in (
        ("synth", MODEL, "data", "out"),
        ("score", "data", "x=data", "--metrics", "log_mel_l1"),
        ("compare", "data", "x=data", "--metrics", "log_mel_l1", "--out", "comparison"),
        ("plot", "data", "x=data", "--out", "mels.png"),
        ("listen", "create", "x=data", "--reference", "data", "--out", "test", "--checks", 0, "--training-items", 0),
        ("listen", "add", "test", "y=data"),
    ):
        status, _, errors = evagan(*command)
        assert status == 2 and "'u1' is a pipe" in errors and errors.count("\n") == 1, command
        status, output, errors = evagan(*command, "--allow-pipes")
        assert status == 0, (command, output, errors)
    assert len(list(Path("out").glob("*.wav"))) == 3 and len(list(Path("test/audio").iterdir())) > 6
    assert Path("comparison/report.html").is_file() and Path("mels.png").is_file()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo no such disk >&2; exit 3 |", "exit status 3: no such disk"),
        ("true |", "it writes nothing"),
        ("no_such_program x.wav |", "exit status 127: "),
        ("echo this is no audio |", "not readable as audio"),
    ],
)
def test_a_command_that_fails_costs_its_own_utterance(wavs, evagan, command, said):
    with Path("data/wav.scp").open("a") as table:
        table.write(f"u4 {command}\n")
    status, output, errors = evagan("synth", MODEL, "data/wav.scp", "out", "--allow-pipes")
    assert status == 1 and output.startswith("3 of 4 utterances") and said in errors and "Traceback" not in errors
    assert sorted(path.stem for path in Path("out").glob("*.wav")) == ["u1", "u2", "u3"]


def test_nothing_runs_that_was_not_allowed(wavs, tmp_path):
    place = f"touch {tmp_path}/ran |"
    with pytest.raises(EvaganError, match="No such file"):
        load_audio(place)
    with pytest.raises(EvaganError), audio_file(Pipe(place)):
        pass
    assert (tmp_path / "ran").exists()
    assert isinstance(read_scp("data/wav.scp", pipes=True)["u1"], Pipe)
