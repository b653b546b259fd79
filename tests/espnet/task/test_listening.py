"""Checkpoints that join a listening test while they train."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch

pytest.importorskip("sqlalchemy", reason="the extra 'listen' is not installed")
pytest.importorskip("pyloudnorm", reason="the extra 'listen' is not installed")

from evagan_plugin.espnet.task.task import VocoderTask
from evagan_plugin.listening import TestOptions, create_test
from evagan_plugin.listening.design.design import System, load_design

TAKEN = "again_4steps"


@pytest.fixture(scope="module")
def listening_test(an4: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test of the validation set, one of whose systems has the name of what an experiment ``again`` would add."""
    out = tmp_path_factory.mktemp("listening") / "test"
    create_test(out, an4 / "valid", {TAKEN: an4 / "valid"}, TestOptions(training_items=0, raters=2))
    return out


@pytest.fixture(scope="module")
def listened(listening_test: Path) -> dict:
    """Config of a training that adds its second epoch to the test."""
    return {"max_epoch": 2, "num_iters_per_epoch": 2, "listen_test": str(listening_test), "listen_every": 2}


def test_a_checkpoint_joins_the_test(train: Callable, an4: Path, listening_test: Path, listened: dict, tmp_path: Path):
    experiment = train(tmp_path / "tiny.exp", listened)
    name, folder = "tiny_exp_4steps", experiment / "listening" / "2epoch"
    design = load_design(listening_test)
    assert System(name, source=str(folder), step=4) in design.systems
    assert [path.name for path in (experiment / "listening").iterdir()] == ["2epoch"]
    metrics = json.loads((listening_test / "metrics" / f"{name}.json").read_text())
    model, _ = VocoderTask.build_model_from_file(None, experiment / "2epoch.pth")
    assert {item.id for item in design.items} == {path.stem for path in folder.iterdir()}
    for item in design.items:
        reference, _ = soundfile.read(an4 / "valid" / f"{item.id}.wav", dtype="float32")
        heard, sample_rate = soundfile.read(folder / f"{item.id}.wav", dtype="float32")
        assert (len(heard), sample_rate) == (len(reference), 16000)
        whole = torch.from_numpy(reference[: len(reference) // 256 * 256]).unsqueeze(0)
        expected = model.eval().synthesize(whole)[0]
        # The ends are padded otherwise; the file has 16 bits.
        torch.testing.assert_close(
            torch.from_numpy(heard)[4096 : len(reference) - 8192], expected[4096 : len(reference) - 8192],
            atol=2 / 2**15, rtol=0,
        )  # fmt: skip
        assert (listening_test / "audio" / f"{item.audio[name]}.wav").exists()
        assert metrics["values"][item.id]["log_mel_l1"] > 0


def test_a_failure_in_the_middle_is_a_warning_and_the_training_goes_on(
    train: Callable, listening_test: Path, listened: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    before = load_design(listening_test)
    with caplog.at_level(logging.WARNING):
        experiment = train(tmp_path / "again", listened | {"max_epoch": 3})
    assert (experiment / "3epoch.pth").exists() and load_design(listening_test) == before
    [warning] = [record.getMessage() for record in caplog.records if "listening test" in record.getMessage()]
    assert f"there is a system '{TAKEN}' already; training goes on" in warning
    assert f"evagan listen add {listening_test} {TAKEN}={experiment / 'listening' / '2epoch'} --step 4" in warning


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("none", "--listen_test: {test}: no listening test (test.yaml) in it"),
        ("mushra", "--listen_test: {test}: a mushra trial holds all systems at once"),
        ("other", "valid/wav.scp: 6 of the 6 utterances of {test} are missing"),
        ("smos", "--listen_every 0: a number of epochs from 1 on is needed"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(
    command: Callable, an4: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, message: str
):
    test = tmp_path / "test"
    if what != "none":
        folder = an4 / ("train" if what == "other" else "valid")
        protocol = "mushra" if what == "mushra" else "smos"
        create_test(test, folder, {"a": folder}, TestOptions(protocol=protocol, training_items=0, checks=0))
    config = {"listen_test": str(test), "listen_every": 0 if what == "smos" else 1}
    with pytest.raises(SystemExit) as ended:
        VocoderTask.main(cmd=command(tmp_path / "exp", config))
    assert ended.value.code == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vocoder_train: error")]
    assert message.format(test=test) in line
