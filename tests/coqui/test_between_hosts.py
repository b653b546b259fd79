"""One checkpoint, three homes: trained in one host, it says the same in the other and by our own command."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from tiny_models import TINY
from torch import Tensor
from TTS.config import load_config
from TTS.vocoder.models import setup_model

from evagan_plugin.audio.mel import MelSpectrogram
from evagan_plugin.cli import main
from evagan_plugin.config import OptimizationConfig

HALF_A_STEP = 0.5 / 2**15
"""Half of what 16 bits can tell apart."""
AUDIBLE = 1e-3
"""After so few steps models are quiet; a hundred times the tolerance of 1e-5 lets a difference show."""


@pytest.fixture(scope="module")
def espnet_vocoder() -> Callable[[Path, Path], Callable[[Tensor], Tensor]]:
    """Return a function that opens a checkpoint and its config as ESPnet's ``Text2Speech`` does."""
    pytest.importorskip("espnet2", reason="the extra 'espnet' is not installed")
    from evagan_plugin.espnet.tts.vocoder import load_vocoder

    return lambda weights, config: load_vocoder(weights, config).forward


@pytest.fixture
def evagan(monkeypatch) -> Callable[..., None]:
    """Run ``evagan ARGUMENTS`` in this process."""

    def run(*arguments: object) -> None:
        monkeypatch.setattr("sys.argv", ["evagan", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code in (None, 0)

    return run


def coqui_model(folder: Path, weights: str = "best_model.pth"):
    """Open a checkpoint as Coqui's ``Synthesizer`` does."""
    config = load_config(str(folder / "config.json"))
    model = setup_model(config)
    model.load_checkpoint(config, str(folder / weights), eval=True)
    return model


@pytest.fixture(scope="module")
def wav(speech) -> Tensor:
    samples, _ = soundfile.read(sorted(speech.iterdir())[0], dtype="float32")
    return torch.from_numpy(samples).view(1, 1, -1)


def test_trained_in_coqui(trained, wav, espnet_vocoder, evagan, tmp_path):
    model = coqui_model(trained)
    mel = MelSpectrogram(model.gan.config.mel)(wav)
    expected = model.inference(mel)[0, 0]
    assert expected.std() > AUDIBLE

    as_it_is = espnet_vocoder(trained / "best_model.pth", trained / "config.json")
    evagan("convert", trained / "best_model.pth", tmp_path / "espnet", "--to", "espnet")
    converted = espnet_vocoder(tmp_path / "espnet" / "model.pth", tmp_path / "espnet" / "config.yaml")
    for forward in (as_it_is, converted):
        assert (forward(mel[0].T) - expected).abs().max() <= 1e-5

    np.save(tmp_path / "utt.npy", mel[0].numpy())
    evagan("convert", trained / "best_model.pth", tmp_path / "ours")
    for name, checkpoint in {"as_it_is": trained / "best_model.pth", "converted": tmp_path / "ours"}.items():
        evagan("synth", checkpoint, tmp_path / "utt.npy", tmp_path / name)
        spoken, sample_rate = soundfile.read(tmp_path / name / "utt.wav", dtype="float32")
        assert sample_rate == 16000
        assert np.abs(spoken - expected.numpy()).max() <= HALF_A_STEP + 1e-5


def test_trained_in_espnet(speech, wav, espnet_vocoder, evagan, tmp_path):
    from evagan_plugin.espnet.task.task import VocoderTask

    paths = sorted(speech.iterdir())
    for split, chosen in {"train": paths[:4], "valid": paths[4:6]}.items():
        (tmp_path / split).write_text("".join(f"{path.stem} {path}\n" for path in chosen))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY))
    data = [
        option
        for split in ("train", "valid")
        for option in (f"--{split}_data_path_and_name_and_type", f"{tmp_path / split},wav,sound")
    ]
    VocoderTask.main(cmd=["--config", str(tmp_path / "config.yaml"), "--output_dir", str(tmp_path / "exp"), *data])
    weights, config = tmp_path / "exp" / "valid.mel.best.pth", tmp_path / "exp" / "config.yaml"

    forward = espnet_vocoder(weights, config)
    evagan("convert", weights, tmp_path / "coqui", "--to", "coqui")
    model = coqui_model(tmp_path / "coqui")
    mel = MelSpectrogram(model.gan.config.mel)(wav)
    expected = forward(mel[0].T)
    assert expected.std() > AUDIBLE
    assert (model.inference(mel)[0, 0] - expected).abs().max() <= 1e-5
    # Coqui's own features become the same mel, but for the 1e-9 that the preset adds to the power.
    features = torch.from_numpy(model.ap.melspectrogram(wav[0, 0].numpy()))
    gap = (model.conversion(features) - mel[0]).abs()
    assert gap.median() < 1e-4 and gap.max() < 0.05


def test_both_hosts_train_alike_by_default(settings, tmp_path):
    """One definition, in the config package: what each host builds from its own defaults is the same."""
    task = pytest.importorskip("evagan_plugin.espnet.task.task", reason="the extra `espnet` brings ESPnet").VocoderTask
    from espnet2.tasks.abs_task import scheduler_classes

    from evagan_plugin.coqui.config import EvaGanConfig
    from evagan_plugin.coqui.model import EvaGan

    args = task.get_parser().parse_args(["--output_dir", str(tmp_path)])
    config = EvaGanConfig()
    config.from_dict({name: settings(tmp_path)[name] for name in ("model", "audio", "vocoder_conf")})
    model = EvaGan(config)
    coquis = model.get_optimizer()[::-1]  # discriminators first
    espnets = task.build_optimizers(args, model)
    for ours, theirs in zip(espnets, coquis, strict=True):
        assert type(ours) is type(theirs) and ours.defaults == theirs.defaults
        assert [p.shape for p in ours.param_groups[0]["params"]] == [p.shape for p in theirs.param_groups[0]["params"]]
    espnets = [
        scheduler_classes[name](optimizer, **conf)
        for name, conf, optimizer in zip(
            (args.scheduler, args.scheduler2), (args.scheduler_conf, args.scheduler2_conf), espnets, strict=True
        )
    ]
    for ours, theirs in zip(espnets, model.get_scheduler(model.get_optimizer()), strict=True):
        assert type(ours) is type(theirs) and ours.gamma == theirs.gamma and config.scheduler_after_epoch
    assert (args.batch_size, args.grad_clip) == (config.batch_size, config.grad_clip[0])

    ours = OptimizationConfig()
    assert type(coquis[0]).__name__ == ours.optimizer
    stated = coquis[0].defaults
    assert (stated["lr"], tuple(stated["betas"])) == (ours.learning_rate, ours.betas)
    assert (stated["weight_decay"], espnets[0].gamma) == (ours.weight_decay, ours.lr_decay)
    assert (config.batch_size, *config.grad_clip) == (ours.batch_size, ours.grad_clip, ours.grad_clip)
