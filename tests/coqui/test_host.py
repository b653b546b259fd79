"""Coqui TTS as it is installed, by its own programs: training, going on, speaking."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import soundfile
import torch

from evagan_plugin.inference.eva_gan import EVAGANVocoder

SILENCE = 10000
"""Zeros that Coqui's synthesizer puts behind each sentence."""
HOP = 256
TEXT = "hello there."


def read(path: Path) -> dict:
    return torch.load(path, map_location="cpu", weights_only=True)


def speak(acoustic: Path, vocoder: Path, config: Path | None = None):
    from TTS.utils.synthesizer import Synthesizer

    return Synthesizer(
        tts_checkpoint=str(acoustic / "model.pth"),
        tts_config_path=str(acoustic / "config.json"),
        vocoder_checkpoint=str(vocoder),
        vocoder_config=str(config or vocoder.with_name("config.json")),
    )


def test_training_leaves_a_run_folder(trained):
    names = {path.name for path in trained.glob("*.pth")}
    assert {"checkpoint_3.pth", "checkpoint_6.pth", "best_model.pth"} <= names
    state = read(trained / "checkpoint_6.pth")
    assert len(state["optimizer"]) == len(state["scheduler"]) == 2
    assert all(torch.isfinite(value).all() for value in state["model"].values())
    assert {name.split(".")[1] for name in state["model"] if name.startswith("gan.")} >= {
        "generator",
        "discriminators",
        "balancer",
    }
    assert "preset" not in json.loads((trained / "config.json").read_text())["vocoder_conf"]  # it is complete


def test_both_parts_learn(trained):
    first, last = (read(trained / f"checkpoint_{step}.pth")["model"] for step in (3, 6))
    for part in ("gan.generator.", "gan.discriminators."):
        moved = [not torch.equal(first[name], last[name]) for name in first if name.startswith(part)]
        # Behind a layer scale of 1e-6 a step is less than a float can tell.
        assert sum(moved) > 0.8 * len(moved)


def scalars(run: Path) -> dict[str, dict[int, float]]:
    """Return what a run logged: values by step, by name; times are left out."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    names = [tag for tag in events.Tags()["scalars"] if not tag.endswith("_time")]
    return {name: {event.step: event.value for event in events.Scalars(name)} for name in names}


def test_tensorboard_has_losses_audio_and_figures(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained), size_guidance={"images": 0, "audio": 0})
    events.Reload()
    tags = events.Tags()
    training = {f"TrainIterStats/{name}" for name in ("mel", "balancer/share_mel", "grad_norm_0", "grad_norm_1")}
    assert training | {"EvalStats/avg_mel"} <= set(tags["scalars"])
    assert {tag.split("/")[-1] for tag in tags["audio"]} == {"reference", "generated"}
    assert tags["images"] and all(tag.endswith("/mel") for tag in tags["images"])
    assert len(events.Audio(tags["audio"][0])) == 2  # one per epoch


def stopped(trained: Path, folder: Path, checkpoint: str) -> Path:
    """Return a copy of a run that was killed right behind one of its checkpoints."""
    run = shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("*.pth", "events*"))
    shutil.copy(trained / checkpoint, run / checkpoint)
    return run


def test_a_stopped_run_goes_on_as_the_unbroken_one(trained, tmp_path, program):
    run = stopped(trained, tmp_path / "run", "checkpoint_3.pth")  # behind the first step of the second epoch
    done = program("-m", "TTS.bin.train_vocoder", "--continue_path", run)
    assert done.returncode == 0, done.stderr
    ours, theirs = read(run / "checkpoint_6.pth"), read(trained / "checkpoint_6.pth")
    assert all(torch.equal(ours["model"][name], theirs["model"][name]) for name in theirs["model"])
    assert str(ours["optimizer"]) == str(theirs["optimizer"])
    assert ours["scheduler"] == theirs["scheduler"]
    assert (ours["step"], ours["epoch"]) == (theirs["step"], theirs["epoch"])
    again, unbroken = scalars(run), scalars(trained)
    for name in ("TrainIterStats/mel", "TrainIterStats/loss_0", "TrainIterStats/loss_1", "TrainIterStats/current_lr_1"):
        assert list(again[name]) == [4, 5]
        assert again[name] == {step: unbroken[name][step] for step in (4, 5)}
    assert again["EvalStats/avg_mel"] == {6: unbroken["EvalStats/avg_mel"][6]}


def test_tts_speaks(trained, acoustic, tmp_path, program):
    done = program(
        *(Path(sys.executable).with_name("tts"), "--text", TEXT),
        *("--model_path", acoustic / "model.pth", "--config_path", acoustic / "config.json"),
        *("--vocoder_path", trained / "best_model.pth", "--vocoder_config_path", trained / "config.json"),
        *("--out_path", tmp_path / "out.wav"),
    )
    assert done.returncode == 0, done.stderr
    wav, sample_rate = soundfile.read(tmp_path / "out.wav")
    assert sample_rate == 16000
    assert np.isfinite(wav).all() and np.abs(wav).max() > 0
    frames, rest = divmod(len(wav) - SILENCE, HOP)
    assert frames > 0 and rest == 0
    in_process = speak(acoustic, trained / "best_model.pth").tts(TEXT)
    assert len(in_process) == len(wav)


def test_the_api_speaks(trained, acoustic, tmp_path):
    from TTS.api import TTS

    api = TTS(
        model_path=str(acoustic / "model.pth"),
        config_path=str(acoustic / "config.json"),
        vocoder_path=str(trained / "best_model.pth"),
        vocoder_config_path=str(trained / "config.json"),
        progress_bar=False,
    )
    api.tts_to_file(text=TEXT, file_path=str(tmp_path / "api.wav"))
    wav, sample_rate = soundfile.read(tmp_path / "api.wav")
    assert sample_rate == 16000
    assert len(wav) > SILENCE and (len(wav) - SILENCE) % HOP == 0
    assert np.isfinite(wav).all() and np.abs(wav).max() > 0


def test_our_vocoder_opens_the_checkpoint(trained, speech, tmp_path):
    """Coqui's model, ``EVAGANVocoder`` and the directory that it writes say the same."""
    from TTS.config import load_config
    from TTS.vocoder.models import setup_model

    config = load_config(str(trained / "config.json"))
    theirs = setup_model(config)
    theirs.load_checkpoint(config, str(trained / "best_model.pth"), eval=True)
    wav, _ = soundfile.read(sorted(speech.iterdir())[0], dtype="float32")
    features = torch.from_numpy(theirs.ap.melspectrogram(wav))
    expected = theirs.inference(features.unsqueeze(0))[0, 0]
    ours = EVAGANVocoder.load(trained / "best_model.pth")
    ours.save(tmp_path / "directory")
    for vocoder in (ours, EVAGANVocoder.load(tmp_path / "directory")):
        assert (vocoder.synthesize(theirs.conversion(features)) - expected).abs().max() <= 1e-5
