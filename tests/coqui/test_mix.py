"""``data_path: mix.yaml`` in Coqui TTS."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from evagan_plugin.coqui.config import EvaGanConfig
from evagan_plugin.coqui.data import load_audio_dir, mix_of, recordings_of
from evagan_plugin.coqui.model import EvaGan
from evagan_plugin.errors import ConfigError, UsageError


def test_a_mix_is_one_sample_for_training_and_validates_on_what_it_names(mix, tmp_path):
    evaluation, training = load_audio_dir(mix, 10)
    assert training == [str(mix)] and mix_of(training) == str(mix) and recordings_of(training) == {}
    assert len(evaluation) == 2 and mix_of(evaluation) is None and len(load_audio_dir(mix, 1)[0]) == 1
    alone = tmp_path / "mix.yaml"
    alone.write_text(yaml.safe_dump({"sources": yaml.safe_load(mix.read_text())["sources"]}))
    assert load_audio_dir(alone, 10)[0] == []
    with pytest.raises(UsageError, match=r"of a mix.yaml those that it names as valid"):
        recordings_of([])
    alone.write_text("sources: []")
    with pytest.raises(ConfigError, match="sources: "):
        load_audio_dir(alone, 10)


def test_processes_and_workers_share_the_items(mix, settings, tmp_path, monkeypatch):
    config = EvaGanConfig()
    config.from_dict(settings(tmp_path, steps_per_epoch=4, batch_size=4))
    model = EvaGan(config)

    def load(epoch: int, rank: int = 0, size: int = 1) -> list[torch.Tensor]:
        monkeypatch.setattr("evagan_plugin.coqui.model.rank_and_size", lambda: (rank, size))
        config.batch_size, config.num_loader_workers = 4 // size, size - 1
        loader = model.get_data_loader(config, is_eval=False, samples=[str(mix)])
        loader.batch_sampler.epoch = epoch
        return [batch["waveform"] for batch in loader]

    whole, left, right = load(1), load(1, 0, 2), load(1, 1, 2)
    assert len(whole) == 4 and whole[0].shape == (4, 1, 32 * 256)
    for batch, one, other in zip(whole, left, right, strict=True):
        assert torch.equal(batch[::2], one) and torch.equal(batch[1::2], other)
    assert not torch.equal(whole[0], load(0)[0])


def test_coquis_own_program_takes_a_mix(mix, settings, program, tmp_path):
    fields = {"data_path": str(mix), "steps_per_epoch": 2, "epochs": 1, "save_step": 100}
    (tmp_path / "config.json").write_text(json.dumps(settings(tmp_path / "out", **fields)))
    done = program("-m", "TTS.bin.train_vocoder", "--config_path", tmp_path / "config.json")
    assert done.returncode == 0, done.stderr
    (last,) = (tmp_path / "out").rglob("checkpoint_*.pth")
    assert last.stem == "checkpoint_2"


def test_a_mix_that_cannot_be_used_ends_the_program_in_one_line(mix, settings, program, tmp_path: Path):
    path = tmp_path / "mix.yaml"
    path.write_text(mix.read_text().replace("/few", "/nothing"))
    (tmp_path / "config.json").write_text(json.dumps(settings(tmp_path / "out", data_path=str(path))))
    done = program("-m", "TTS.bin.train_vocoder", "--config_path", tmp_path / "config.json")
    assert done.returncode == 1
    assert done.stderr.rstrip().splitlines()[-1].startswith(f"evagan: error: {path}: source 'few': ")
    assert "Traceback" not in done.stderr and not list((tmp_path / "out").glob("*"))
