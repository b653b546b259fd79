"""The cost of a step by config, and the schedule that takes as long as another's."""

import sys
from pathlib import Path

import pytest
import yaml
from tiny_models import TINY, VOCOS

from evagan_plugin.errors import UsageError
from evagan_plugin.espnet.bin.step_time import Schedule, main


def test_a_schedule_is_scaled_to_the_time_of_another():
    first = Schedule(start=18000, steps=24000, epochs=24, without=0.1, with_=0.4)
    slow = Schedule(start=12000, steps=24000, epochs=24, without=0.5, with_=0.5)
    assert first.seconds == pytest.approx(18000 * 0.1 + 6000 * 0.4)
    # 4,200 s of steps of 0.5 s are 8,400, in 24 epochs of 350, the discriminators in the second half of them.
    assert slow.as_long_as(first) == "--num_iters_per_epoch 350 --vocoder_conf training.discriminator_start_steps=4200"
    assert "--num_iters_per_epoch 1000 " in first.as_long_as(first)


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["step_time", *options])
    main()


def test_configs_are_measured_with_and_without_discriminators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    pytest.importorskip("vocos", reason="the extra 'vocos' is not installed")
    late = TINY["vocoder_conf"] | {"training": TINY["vocoder_conf"]["training"] | {"discriminator_start_steps": 3}}
    configs = {
        "eva_gan": TINY | {"vocoder_conf": late},
        "vocos": TINY | {"vocoder": "vocos", "vocoder_conf": TINY["vocoder_conf"] | VOCOS},
    }
    for name, config in configs.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *(str(tmp_path / f"{name}.yaml") for name in configs), "--rounds", "1")
    assert ended.value.code == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [Path(row[0]).stem for row in rows] == list(configs)
    assert [row[3:6] for row in rows] == [["3", "+", "3"], ["0", "+", "6"]]
    assert 0 < float(rows[0][1]) < float(rows[0][2]), "discriminators cost something"
    assert float(rows[1][1]) == 0 < float(rows[1][2])
    assert rows[0][-3:-1] == ["6", "--vocoder_conf"]


def test_a_config_that_states_no_steps_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    (tmp_path / "short.yaml").write_text(yaml.safe_dump({"vocoder": "eva_gan", "vocoder_conf": {}}))
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, str(tmp_path / "short.yaml"))
    assert ended.value.code == UsageError.exit_status
    assert "short.yaml has no 'batch_size' of 1 or more" in capsys.readouterr().err
