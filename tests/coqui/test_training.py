"""Coqui's trainer in this process and in two."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch
from tiny_models import ALL_ON
from trainer import Trainer, TrainerArgs
from TTS.vocoder.datasets.preprocess import load_wav_data

from evagan_plugin.audio.mel import MelMismatchError
from evagan_plugin.checkpoint.discriminators import trained_discriminators
from evagan_plugin.checkpoint.tensors import folded
from evagan_plugin.config import load_preset
from evagan_plugin.coqui.config import EvaGanConfig, EvaGanTrainerArgs
from evagan_plugin.coqui.export import export_coqui
from evagan_plugin.coqui.model import EvaGan
from evagan_plugin.errors import ConfigError, EvaganError, UsageError
from evagan_plugin.inference.eva_gan import EVAGANVocoder


@pytest.fixture
def prepare(settings, speech, tmp_path) -> Callable[..., Trainer]:
    """Make a trainer: ``prepare({config}, {args})``."""

    def make(fields: dict | None = None, args: TrainerArgs | None = None, samples: list | None = None) -> Trainer:
        config = EvaGanConfig()
        config.from_dict(settings(tmp_path / "out", **(fields or {})))
        evaluation, training = load_wav_data(str(speech), config.eval_split_size)
        torch.manual_seed(0)
        return Trainer(
            args or TrainerArgs(),
            config,
            config.output_path,
            model=EvaGan(config),
            train_samples=samples or training,
            eval_samples=evaluation,
            parse_command_line_args=False,
        )

    return make


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, map_location="cpu", weights_only=True)["model"]


def equal(left: dict, right: dict) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("mixed", [False, True], ids=["folder", "mix"])
def test_max_steps_ends_within_an_epoch_and_can_be_raised(prepare, settings, mix, tmp_path, mixed: bool):
    """Three steps an epoch; of a mix, a continued run also has another number of workers."""
    vocoder = settings(tmp_path)["vocoder_conf"]
    vocoder = {"vocoder_conf": vocoder | {"training": vocoder["training"] | ALL_ON}, "steps_per_epoch": 3}
    samples = [str(mix)] if mixed else None
    unbroken = prepare({"epochs": 2, "run_name": "unbroken", **vocoder}, samples=samples)
    unbroken.fit()
    stopped = prepare({"epochs": 9, "save_step": 100, **vocoder}, EvaGanTrainerArgs(max_steps=4), samples)
    stopped.fit()
    assert weights(stopped.output_path / "checkpoint_4.pth")["_extra_state"].tolist() == [1, 1, 4]
    continued = EvaGanTrainerArgs(max_steps=6, continue_path=str(stopped.output_path))
    prepare(vocoder | {"num_loader_workers": int(mixed)}, continued, samples).fit()
    assert equal(*(weights(run.output_path / "checkpoint_6.pth") for run in (unbroken, stopped)))


def test_a_whole_epoch_is_not_done_twice_and_the_best_model_is_kept(prepare):
    first = prepare({"epochs": 1, "save_step": 100})
    first.fit()
    (first.output_path / "checkpoint_3.pth").unlink()  # so that the run goes on from best_model_3
    best = first.best_loss
    second = prepare(args=TrainerArgs(continue_path=str(first.output_path)))
    assert (second.epochs_done, second.total_steps_done) == (1, 3)
    second._restore_best_loss()
    second.model.on_epoch_start(second)
    assert second.best_loss == best and best["eval_loss"] is not None


def test_bf16_checkpointing_and_clipping_train(prepare, settings, tmp_path):
    vocoder = settings(tmp_path)["vocoder_conf"]
    vocoder = vocoder | {"generator": vocoder["generator"] | {"checkpointing": True}}
    fields = {"mixed_precision": True, "precision": "bf16", "grad_clip": [1.0, 1.0], "vocoder_conf": vocoder}
    trainer = prepare({"epochs": 1, **fields})
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.fit()
    after = weights(trainer.output_path / "checkpoint_3.pth")
    moved = [not torch.equal(after[name], before[name]) for name in before if name.startswith("gan.")]
    assert sum(moved) > 0.7 * len(moved)
    assert all(torch.isfinite(value).all() for value in after.values())


def test_gradients_are_clipped_to_the_norm_of_each_part(prepare):
    """Plain SGD at a rate of 1 moves a part by exactly its gradient's norm."""
    clip = {"discriminators": 0.25, "generator": 0.5}  # in Coqui's order; the balancer gives more
    fields = {
        "optimizer": "SGD",
        "optimizer_params": {},
        "lr_gen": 1.0,
        "lr_disc": 1.0,
        "grad_clip": list(clip.values()),
    }
    trainer = prepare({"epochs": 1, "run_eval": False, **fields}, EvaGanTrainerArgs(max_steps=1))
    parts = {name: getattr(trainer.model.gan, name) for name in clip}
    before = {name: torch.nn.utils.parameters_to_vector(part.parameters()).clone() for name, part in parts.items()}
    trainer.fit()
    for name, part in parts.items():
        moved = torch.nn.utils.parameters_to_vector(part.parameters()) - before[name]
        assert float(moved.detach().norm()) == pytest.approx(clip[name], rel=1e-3)


def test_evaluation_scores_the_whole_of_its_data_with_the_generator_as_it_is(prepare):
    trainer = prepare()
    trainer.keep_avg_train = None
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.eval_epoch()
    model, batch = trainer.model.eval(), next(iter(trainer.eval_loader))
    with torch.no_grad():
        mel = model.gan.mel(batch["waveform"])[..., :32]
        wanted = model.gan.mel_loss(model.gan.generator(mel), batch["waveform"])
    assert trainer.keep_avg_eval["avg_mel"] == pytest.approx(float(wanted), rel=1e-4)
    assert equal(before, trainer.model.state_dict())  # the balancer's averages and the progress, too


def test_restoring_takes_the_weights_and_begins_anew(prepare, trained):
    trainer = prepare(args=TrainerArgs(restore_path=str(trained / "best_model.pth")))
    ours, theirs = trainer.model.state_dict(), weights(trained / "best_model.pth")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs if name.startswith("gan."))
    assert trainer.total_steps_done == 0 and ours["_extra_state"].tolist() == [0, 0, 0]


def test_an_exported_generator_speaks_and_can_be_trained_on(prepare, trained, tmp_path):
    vocoder = EVAGANVocoder.load(trained / "best_model.pth")
    export_coqui(vocoder.config, vocoder.generator, tmp_path / "export")
    again = EVAGANVocoder.load(tmp_path / "export" / "best_model.pth")
    mel = torch.randn(80, 20)
    assert torch.allclose(again.synthesize(mel), vocoder.synthesize(mel), atol=1e-5)
    trainer = prepare(args=TrainerArgs(restore_path=str(tmp_path / "export" / "best_model.pth")))
    trained_on = EVAGANVocoder(trainer.model.gan.config, trainer.model.gan.generator)
    assert torch.allclose(trained_on.synthesize(mel), vocoder.synthesize(mel), atol=1e-5)


def test_training_goes_on_from_an_export_with_discriminators(prepare, trained, tmp_path):
    vocoder = EVAGANVocoder.load(trained / "best_model.pth")
    discriminators = trained_discriminators(trained / "best_model.pth", vocoder.config)
    export_coqui(vocoder.config, vocoder.generator, tmp_path / "export", discriminators)
    trainer = prepare(args=TrainerArgs(restore_path=str(tmp_path / "export" / "best_model.pth")))
    ours, theirs = trainer.model.state_dict(), weights(trained / "best_model.pth")
    assert float(ours["gan.steps.done"]) == float(theirs["gan.steps.done"]) > 0
    ours, theirs = folded(ours), folded(theirs)
    kept = [name for name in theirs if name.startswith("gan.discriminators.")]
    assert kept and all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in kept)


def test_frames_that_are_not_centred_cannot_be_exported(tmp_path):
    with pytest.raises(MelMismatchError, match="center is True there and False here"):
        export_coqui(load_preset("hifigan_v1_22k"), torch.nn.Identity(), tmp_path / "export")
    assert not (tmp_path / "export").exists()


def refused(prepare: Callable, kind: type[EvaganError], message: str, *arguments: object, **named: object) -> None:
    with pytest.raises(kind, match=message) as caught:
        prepare(*arguments, **named)
    assert "\n" not in str(caught.value)


def test_runs_that_cannot_work_are_refused_and_leave_no_folder(prepare, trained, speech, tmp_path):
    whole = (trained / "best_model.pth").read_bytes()
    (tmp_path / "truncated.pth").write_bytes(whole[: len(whole) // 2])
    soundfile.write(tmp_path / "rate.wav", [0.0] * 8000, 8000)
    (tmp_path / "text.wav").write_text("no audio")
    larger = {"vocoder_conf": {"preset": "eva_gan_mini_16k"}}
    recordings = [str(path) for path in speech.iterdir()]
    refused(prepare, UsageError, "grad_accum_steps", args=TrainerArgs(grad_accum_steps=2))
    refused(prepare, UsageError, "use_accelerate", args=TrainerArgs(use_accelerate=True))
    refused(prepare, ConfigError, "optimizer Nothing", {"optimizer": "Nothing"})
    refused(prepare, ConfigError, "target_loss 'mels'.* did you mean 'mel'", {"target_loss": "mels"})
    refused(prepare, ConfigError, "lr_scheduler", {"lr_scheduler_gen_params": {"gama": 0.9}})
    refused(prepare, UsageError, "no checkpoint", args=TrainerArgs(restore_path=str(tmp_path / "none.pth")))
    refused(prepare, EvaganError, "truncated", args=TrainerArgs(restore_path=str(tmp_path / "truncated.pth")))
    torch.save(weights(trained / "best_model.pth"), tmp_path / "espnet.pth")  # names alone, as ESPnet writes them
    refused(
        prepare, UsageError, "evagan convert .* --to coqui", args=TrainerArgs(restore_path=str(tmp_path / "espnet.pth"))
    )
    restore = TrainerArgs(restore_path=str(trained / "best_model.pth"))
    refused(prepare, EvaganError, "does not fit the config", larger, restore)
    refused(prepare, UsageError, "1 of 9 train .*8000 Hz", samples=[*recordings, str(tmp_path / "rate.wav")])
    refused(prepare, UsageError, "text.wav: not readable as audio", samples=[*recordings, str(tmp_path / "text.wav")])
    assert not list((tmp_path / "out").glob("*/*.pth"))


def test_a_continued_run_needs_the_model_that_it_had(prepare, trained):
    config = {"vocoder_conf": {"preset": "eva_gan_mini_16k"}}
    refused(prepare, ConfigError, "built from another config", config, TrainerArgs(continue_path=str(trained)))


def test_a_run_does_not_write_over_another(prepare, monkeypatch):
    """Coqui names run folders by the minute."""
    first = prepare({"epochs": 1})
    first.fit()
    monkeypatch.setattr("trainer.trainer.get_experiment_folder_path", lambda *_: first.output_path)
    refused(prepare, UsageError, "holds the checkpoints of another run: set another run_name")
    assert list(first.output_path.glob("*.pth"))


WORKER = """
import json, os, sys
import torch
from trainer import Trainer, TrainerArgs
from TTS.config import load_config
from TTS.vocoder.datasets.preprocess import load_wav_data
from TTS.vocoder.models import setup_model

rank, folder = int(os.environ["RANK"]), sys.argv[1]
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
config = load_config(f"{folder}/config.json")
torch.manual_seed(rank)  # every process begins with other weights
evaluation, training = load_wav_data(config.data_path, config.eval_split_size)
model = setup_model(config)
reducer = torch.nn.parallel.DistributedDataParallel(model)  # what Coqui does on GPUs, and never calls
samples = {"train_samples": training, "eval_samples": evaluation}
samples["parse_command_line_args"] = False
trainer = Trainer(TrainerArgs(rank=rank), config, f"{folder}/{rank}", model=model, **samples)
trainer.fit()
averages = {"train": trainer.keep_avg_train.avg_values, "eval": trainer.keep_avg_eval.avg_values}
torch.save([model.state_dict(), averages], f"{folder}/result{rank}.pth")
"""


def train_by_two_processes(folder: Path, config: dict) -> list[tuple[dict, dict]]:
    """Return weights and averages of each process."""
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "worker.py").write_text(WORKER)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", str(folder / "worker.py"), str(folder)],
            env=environment | {"RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=240)
        assert worker.returncode == 0, errors
    return [torch.load(folder / f"result{rank}.pth", weights_only=True) for rank in range(2)]


def test_two_processes_stay_equal_and_do_what_one_does_with_all_items(prepare, settings, tmp_path):
    """They start from other weights and see other batches; gradients, the balancer and losses are shared.

    Under SGD the size of a gradient matters, too; discriminators see whole items, as random crops differ.
    """
    vocoder = settings(tmp_path)["vocoder_conf"]
    vocoder = vocoder | {"training": vocoder["training"] | {"discriminator_frames": None}}
    fields = {"epochs": 2, "save_step": 100, "vocoder_conf": vocoder}
    fields |= {"optimizer": "SGD", "optimizer_params": {}, "lr_gen": 0.01, "lr_disc": 0.01}
    both = train_by_two_processes(tmp_path, settings(tmp_path, batch_size=1, **fields))
    (first, logged), (second, logged_too) = both
    assert first["_extra_state"].tolist() == [2, 0, 6]
    assert equal(first, second)
    assert first["gan.balancer.step"] == 6
    for split in ("train", "eval"):
        names = logged[split].keys() - {"avg_loader_time", "avg_step_time"}
        assert "avg_mel" in names
        assert all(logged[split][name] == logged_too[split][name] for name in names)

    alone = prepare({"batch_size": 2, **fields})
    before = {name: value.clone() for name, value in alone.model.state_dict().items()}
    alone.fit()
    after = alone.model.state_dict()
    for part in ("gan.generator.", "gan.discriminators.", "gan.balancer.total"):
        names = [name for name in after if name.startswith(part)]
        moved = torch.cat([(after[name] - before[name]).flatten() for name in names]).norm()
        apart = torch.cat([(after[name] - first[name]).flatten() for name in names]).norm()
        assert moved > 0 and apart < 1e-2 * moved, (part, moved, apart)
    assert logged["train"]["avg_mel"] == pytest.approx(alone.keep_avg_train["avg_mel"], rel=1e-3)
