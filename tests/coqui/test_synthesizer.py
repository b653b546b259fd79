"""Between an acoustic model and the vocoder: what is mended, and what is refused."""

import json

import numpy as np
import pytest
import soundfile
import torch
from TTS.config.shared_configs import BaseAudioConfig
from TTS.utils.audio import AudioProcessor
from TTS.utils.synthesizer import Synthesizer

from evagan_plugin.audio.mel import MelMismatchError
from evagan_plugin.checkpoint.convert import open_checkpoint
from evagan_plugin.coqui.config import EvaGanConfig
from evagan_plugin.coqui.model import EvaGan
from evagan_plugin.errors import ConfigError, EvaganError
from evagan_plugin.inference.eva_gan import EVAGANVocoder
from evagan_plugin.inference.export import export
from evagan_plugin.inference.onnx_engine import OnnxGenerator

BASE = {"sample_rate": 16000, "mel_fmin": 80.0, "mel_fmax": 7600.0, "do_trim_silence": False}


def load(acoustic, vocoder, folder, audio=None, config=None):
    """Load both models, the acoustic one with another audio config."""
    content = json.loads((acoustic / "config.json").read_text())
    content["audio"] |= audio or {}
    (folder / "acoustic.json").write_text(json.dumps(content))
    return Synthesizer(
        tts_checkpoint=str(acoustic / "model.pth"),
        tts_config_path=str(folder / "acoustic.json"),
        vocoder_checkpoint=str(vocoder),
        vocoder_config=str(config or vocoder.with_name("config.json")),
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"log_func": "np.log", "spec_gain": 1, "signal_norm": False},
        {"log_func": "np.log10", "spec_gain": 1, "signal_norm": False},
        {"log_func": "np.log10", "spec_gain": 20, "signal_norm": False},
        {"log_func": "np.log10", "spec_gain": 20, "signal_norm": True, "clip_norm": False},
    ],
    ids=["as trained", "log10", "dB", "dB, normalised"],
)
def test_logarithm_gain_and_normalisation_are_mended(trained, acoustic, speech, tmp_path, fields):
    wav, _ = soundfile.read(sorted(speech.iterdir())[0], dtype="float32")
    vocoder = EVAGANVocoder.load(trained / "best_model.pth")
    expected = vocoder.synthesize(vocoder.mel_spectrogram(torch.from_numpy(wav).view(1, 1, -1)))[0]

    synthesizer = load(acoustic, trained / "best_model.pth", tmp_path, fields)
    features = AudioProcessor(BaseAudioConfig(**BASE | fields)).melspectrogram(wav)
    spoken = synthesizer._run_vocoder(torch.from_numpy(features.T), "cpu")[0, 0]
    assert (spoken - expected).abs().max() < 1e-3 * expected.abs().max()


def test_what_cannot_be_mended_is_refused_with_every_field(trained, acoustic, tmp_path):
    audio = {"sample_rate": 22050, "hop_length": 220, "mel_fmax": 8000.0, "preemphasis": 0.97}
    with pytest.raises(MelMismatchError) as caught:
        load(acoustic, trained / "best_model.pth", tmp_path, audio)
    assert [name for name, _, _ in caught.value.fields] == ["sample_rate", "hop_length", "f_max", "preemphasis"]
    assert "the acoustic model" in str(caught.value)


def test_clipping_of_the_acoustic_model_is_a_higher_floor(trained, acoustic, tmp_path):
    """At -80 dB it has cut off what a vocoder with a floor of 1e-8 was trained to hear."""
    audio = {"log_func": "np.log10", "spec_gain": 20, "signal_norm": True, "clip_norm": True}
    with pytest.raises(MelMismatchError, match=r"floor is 0\.0001 there and 1e-08 here"):
        load(acoustic, trained / "best_model.pth", tmp_path, audio)


NORMALISED = {
    "range": {"log_func": "np.log10", "spec_gain": 20, "signal_norm": True},
    "statistics": {"log_func": "np.log", "spec_gain": 1, "signal_norm": True, "stats_path": "stats.npy"},
}


@pytest.mark.parametrize("fields", NORMALISED.values(), ids=NORMALISED)
def test_a_vocoder_of_normalised_mels_hears_the_same(acoustic, speech, settings, tmp_path, monkeypatch, fields):
    """The synthesizer undoes the acoustic model's normalisation and applies the vocoder's; the vocoder undoes that."""
    monkeypatch.chdir(tmp_path)
    wav, _ = soundfile.read(sorted(speech.iterdir())[0], dtype="float32")
    plain = AudioProcessor(BaseAudioConfig(**BASE | {"log_func": "np.log", "spec_gain": 1, "signal_norm": False}))
    mel = plain.melspectrogram(wav)
    stats = {"mel_mean": mel.mean(axis=1), "mel_std": mel.std(axis=1), "audio_config": {}}
    np.save("stats.npy", stats | {"linear_mean": np.zeros(513), "linear_std": np.ones(513)}, allow_pickle=True)

    vocoder = EvaGanConfig()
    vocoder.from_dict(settings(tmp_path, audio=fields))
    torch.manual_seed(0)
    model = EvaGan(vocoder)
    torch.save({"model": model.state_dict()}, "vocoder.pth")
    vocoder.save_json("config.json")
    ours = EVAGANVocoder.load("vocoder.pth")
    expected = ours.synthesize(ours.mel_spectrogram(torch.from_numpy(wav).view(1, 1, -1)))[0]

    synthesizer = load(acoustic, tmp_path / "vocoder.pth", tmp_path, fields)
    features = AudioProcessor(BaseAudioConfig(**BASE | fields)).melspectrogram(wav)
    spoken = synthesizer._run_vocoder(torch.from_numpy(features.T), "cpu")[0, 0]
    assert expected.std() > 0.01
    assert (spoken - expected).abs().max() < 1e-3 * expected.abs().max()


@pytest.fixture
def exported(settings, tmp_path):
    """Folder with an untrained model as ``vocoder.pth`` and ``vocoder.onnx``, beside ``config.json``."""
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    config = EvaGanConfig()
    config.from_dict(settings(tmp_path, audio={"log_func": "np.log10", "spec_gain": 20, "signal_norm": False}))
    torch.manual_seed(0)
    torch.save({"model": EvaGan(config).state_dict()}, tmp_path / "vocoder.pth")
    config.save_json(tmp_path / "config.json")
    export(*open_checkpoint(tmp_path / "vocoder.pth"), tmp_path / "vocoder.onnx")
    return tmp_path


def test_an_exported_file_speaks_as_its_checkpoint_does(exported, acoustic):
    spectrogram = torch.from_numpy(np.random.default_rng(0).uniform(-9, 0, (30, 80)).astype("f4"))
    audio = {"log_func": "np.log", "spec_gain": 1, "signal_norm": False}
    wavs, spoken = [], []
    for name in ("vocoder.pth", "vocoder.onnx"):
        synthesizer = load(acoustic, exported / name, exported, audio)
        wavs.append(synthesizer._run_vocoder(spectrogram, "cpu"))
        spoken.append(np.array(synthesizer.tts("hello there")))
    assert isinstance(synthesizer.vocoder_model.gan.generator, OnnxGenerator)
    assert wavs[0].shape == wavs[1].shape == (1, 1, 30 * 256)
    assert wavs[0].std() > 0.005 and torch.allclose(*wavs, atol=1e-5)
    assert spoken[0].std() > 0 and np.allclose(*spoken, atol=1e-4)
    with pytest.raises(MelMismatchError, match="hop_length is 200 there and 256 here"):
        load(acoustic, exported / "vocoder.onnx", exported, audio | {"hop_length": 200})


def test_an_exported_file_of_another_config_or_without_one_is_one_line(exported, acoustic):
    content = json.loads((exported / "config.json").read_text())
    content["vocoder_conf"]["generator"]["channels"] = 128
    (exported / "other.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"vocoder\.onnx is of another configuration: generator\.channels: 128 != 64"):
        load(acoustic, exported / "vocoder.onnx", exported, config=exported / "other.json")
    with pytest.raises(ConfigError, match="no config is given"):
        Synthesizer(
            tts_checkpoint=str(acoustic / "model.pth"),
            tts_config_path=str(acoustic / "config.json"),
            vocoder_checkpoint=str(exported / "vocoder.onnx"),
        )


class Code:
    """Pickled, it is code that would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_bad_checkpoints_are_one_line(trained, acoustic, tmp_path):
    whole = (trained / "best_model.pth").read_bytes()
    (tmp_path / "truncated.pth").write_bytes(whole[: len(whole) // 2])
    torch.save({"model": Code(tmp_path / "written")}, tmp_path / "code.pth")
    torch.save({"model": {"weight": torch.zeros(2)}}, tmp_path / "other.pth")
    messages = {
        "truncated.pth": "damaged or truncated",
        "code.pth": "more than weights",
        "other.pth": "holds no EVA-GAN generator",
        "missing.pth": "there is no checkpoint",
    }
    for name, message in messages.items():
        with pytest.raises(EvaganError, match=message) as caught:
            load(acoustic, tmp_path / name, tmp_path, config=trained / "config.json")
        assert name in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "written").exists()


def test_a_checkpoint_of_ours_without_its_config_is_one_line(trained, acoustic, tmp_path):
    (tmp_path / "broken.json").write_text("{")
    messages = {
        "": "no config is given",
        "missing.json": "missing.json: cannot be read",
        "broken.json": "broken.json, line",
    }
    for name, message in messages.items():
        with pytest.raises(ConfigError, match=message) as caught:
            Synthesizer(
                tts_checkpoint=str(acoustic / "model.pth"),
                tts_config_path=str(acoustic / "config.json"),
                vocoder_checkpoint=str(trained / "best_model.pth"),
                vocoder_config=str(tmp_path / name) if name else None,
            )
        assert "\n" not in str(caught.value)
    torch.save({"model": {"weight": torch.zeros(2)}}, tmp_path / "other.pth")
    with pytest.raises(FileNotFoundError):  # another vocoder is Coqui's business
        load(acoustic, tmp_path / "other.pth", tmp_path, config=tmp_path / "missing.json")


def test_the_programs_say_it_in_one_line(trained, acoustic, tmp_path, program):
    (tmp_path / "truncated.pth").write_bytes((trained / "best_model.pth").read_bytes()[:5000])
    done = program(
        *("-m", "TTS.bin.synthesize", "--text", "hello", "--out_path", tmp_path / "out.wav"),
        *("--model_path", acoustic / "model.pth", "--config_path", acoustic / "config.json"),
        *("--vocoder_path", tmp_path / "truncated.pth", "--vocoder_config_path", trained / "config.json"),
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("evagan: error: cannot load")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.wav").exists()
