"""Real speech, a tiny config, and programs of an unmodified Coqui TTS."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import soundfile
from tiny_models import TINY

pytest.importorskip("TTS", reason="the extra 'coqui' is not installed")
pytest.importorskip("trainer", reason="the extra 'coqui' is not installed")

AUDIO = {"sample_rate": 16000, "mel_fmin": 80.0, "mel_fmax": 7600.0}
VOCODER = TINY["vocoder_conf"]
TRAINING = {
    "batch_size": 2,
    "eval_batch_size": 2,
    "eval_split_size": 2,
    "epochs": 2,
    "save_step": 3,
    "print_step": 1,
    "plot_step": 1,
    "num_test_utterances": 1,
}
SECONDS = 240


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with eight utterances of AN4 (16 kHz, 0.7 to 2.9 s) as WAV files: the speech that ESPnet brings."""
    spec = find_spec("espnet2")
    if spec is None:
        pytest.skip("ESPnet, whose wheel brings the speech, is not installed")
    archive = Path(spec.origin).parents[1] / "egs3" / "mini_an4" / "esp2_asr" / "downloads.tar.gz"
    folder = tmp_path_factory.mktemp("speech")
    with tarfile.open(archive) as packed:
        for member in packed:
            if member.name.endswith(".sph"):
                wav, sample_rate = soundfile.read(io.BytesIO(packed.extractfile(member).read()))
                soundfile.write(folder / Path(member.name).with_suffix(".wav").name, wav, sample_rate)
    return folder


@pytest.fixture(scope="session")
def mix(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``mix.yaml`` of six of the utterances in two sources, with the other two to validate on."""
    folder = tmp_path_factory.mktemp("mix")
    paths = sorted(speech.iterdir())
    for name, part in {"few": paths[:2], "many": paths[2:6], "valid": paths[6:]}.items():
        (folder / name).mkdir()
        (folder / name / "wav.scp").write_text("".join(f"{path.stem} {path}\n" for path in part))
    sources = [{"name": name, "path": str(folder / name), "share": 1} for name in ("few", "many")]
    (folder / "mix.yaml").write_text(json.dumps({"sources": sources, "valid": str(folder / "valid")}))
    return folder / "mix.yaml"


@pytest.fixture(scope="session")
def settings(speech: Path) -> Callable[..., dict]:
    """Return a function that gives the content of a config file, with fields that replace those of a tiny one."""
    from evagan_plugin.coqui.config import EvaGanConfig

    def make(output_path: Path, **fields: object) -> dict:
        audio = EvaGanConfig().audio.to_dict() | AUDIO | fields.pop("audio", {})
        own = {"model": "eva_gan", "audio": audio, "vocoder_conf": VOCODER, "data_path": str(speech)}
        return own | TRAINING | {"output_path": str(output_path)} | fields

    return make


@pytest.fixture(scope="session")
def program() -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that runs ``python ARGUMENTS`` with one thread and gives what came out."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-W", "ignore", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | environment,
        )

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, settings: Callable, program: Callable) -> Path:
    """Run folder of two epochs of three steps by Coqui's own training program."""
    root = tmp_path_factory.mktemp("trained")
    (root / "config.json").write_text(json.dumps(settings(root / "out")))
    done = program("-m", "TTS.bin.train_vocoder", "--config_path", root / "config.json")
    assert done.returncode == 0, done.stderr
    (run,) = (root / "out").iterdir()
    return run


@pytest.fixture(scope="session")
def acoustic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``model.pth`` and ``config.json`` of a tiny untrained Glow-TTS on the same mel."""
    import torch
    from TTS.tts.configs.glow_tts_config import GlowTTSConfig
    from TTS.tts.configs.shared_configs import CharactersConfig
    from TTS.tts.models.glow_tts import GlowTTS

    from evagan_plugin.coqui.config import EvaGanConfig

    audio = EvaGanConfig().audio
    audio.update(AUDIO)
    config = GlowTTSConfig(
        audio=audio,
        text_cleaner="basic_cleaners",
        characters=CharactersConfig(
            characters="abcdefghijklmnopqrstuvwxyz", punctuations="!,. ", pad="_", eos="~", bos="^", blank="#"
        ),
        hidden_channels_enc=8,
        hidden_channels_dec=8,
        hidden_channels_dp=8,
        num_flow_blocks_dec=1,
        num_block_layers=1,
        use_encoder_prenet=False,
        encoder_params={
            "kernel_size": 3,
            "dropout_p": 0.0,
            "num_layers": 1,
            "num_heads": 2,
            "hidden_channels_ffn": 16,
            "input_length": None,
        },
        inference_noise_scale=0.0,
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("acoustic")
    torch.save({"model": GlowTTS(config).state_dict()}, folder / "model.pth")
    config.save_json(folder / "config.json")
    return folder
