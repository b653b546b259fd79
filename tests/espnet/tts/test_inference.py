"""Text to speech through EVA-GAN: ESPnet's own commands and classes, and what they refuse."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from espnet2.bin.tts_inference import Text2Speech
from espnet2.tasks.svs import SVSTask
from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank
from host_commands import run
from tiny_models import FEATURES, HOP, TINY, awaken, vocoder_of

from evagan_plugin import EVAGANVocoder
from evagan_plugin.checkpoint.native import load_checkpoint, save_checkpoint
from evagan_plugin.config import build_config
from evagan_plugin.errors import UsageError
from evagan_plugin.espnet import register
from evagan_plugin.espnet.tts.vocoder import ESPnetVocoder
from evagan_plugin.inference.export import export
from evagan_plugin.inference.onnx_engine import OnnxGenerator
from evagan_plugin.model.generator import EVAGANGenerator

register()

HOST = ("-m", "espnet2.bin.tts_inference")
WRAPPER = ("-m", "evagan_plugin.espnet.bin.tts_inference")


@pytest.fixture(scope="module")
def inference_options(acoustic_model, spoken) -> list[object]:
    """Options of ``tts_inference`` for the two validation utterances."""
    return [
        *("--train_config", acoustic_model / "config.yaml", "--model_file", acoustic_model / "1epoch.pth"),
        *("--data_path_and_name_and_type", f"{spoken / 'valid'}/text,text,text"),
        *("--num_workers", 0, "--maxlenratio", 1.0),
    ]


def assert_spoken(out: Path, valid: Path) -> None:
    utterances = [line.split()[0] for line in (valid / "text").read_text().splitlines()]
    assert len(utterances) == 2
    frames = dict(line.split() for line in (out / "speech_shape" / "speech_shape").read_text().splitlines())
    for utterance in utterances:
        wav, sample_rate = soundfile.read(out / "wav" / f"{utterance}.wav")
        assert sample_rate == 16000
        assert len(wav) == int(frames[utterance].split(",")[0]) * HOP
        assert np.abs(wav).max() > 0


def test_the_hosts_command_speaks_through_eva_gan(inference_options, trained_vocoder, spoken, tmp_path):
    weights = trained_vocoder
    config = trained_vocoder.with_name("config.yaml")
    done = run(
        *HOST, *inference_options, "--vocoder_file", weights, "--vocoder_config", config, "--output_dir", tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert_spoken(tmp_path, spoken / "valid")


@pytest.mark.slow
def test_the_wrapper_speaks_without_the_hook(inference_options, tiny_vocoder, spoken, tmp_path):
    done = run(
        *(*WRAPPER, *inference_options, "--vocoder_file", tiny_vocoder / "model.safetensors"),
        *("--output_dir", tmp_path),
        autoload="0",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert_spoken(tmp_path, spoken / "valid")


def test_without_hook_and_wrapper_the_host_says_what_it_cannot_read(inference_options, tiny_vocoder, tmp_path):
    weights = tiny_vocoder / "model.safetensors"
    done = run(*HOST, *inference_options, "--vocoder_file", weights, "--output_dir", tmp_path, autoload="0")
    assert done.returncode != 0
    *_, error, reminder = done.stderr.strip().splitlines()
    assert error.endswith(f"{weights} is not supported format.")
    assert reminder.startswith("EVAGAN_PLUGIN_AUTOLOAD=0: espnet2 does not know EVA-GAN; unset it, or call ")
    assert not list(tmp_path.rglob("*.wav"))


@pytest.mark.slow
def test_a_vocoder_that_does_not_fit_ends_the_command_in_one_line(inference_options, tmp_path):
    other = vocoder_of(tmp_path / "voc", center=False) / "model.safetensors"
    done = run(*HOST, *inference_options, "--vocoder_file", other, "--output_dir", tmp_path / "out")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "center is True there and False here" in done.stderr.strip().splitlines()[-1]
    assert not list(tmp_path.rglob("*.wav"))


def test_text2speech_gives_whole_frames_of_what_the_vocoder_makes_of_the_features(acoustic_model, tiny_vocoder):
    speaker = Text2Speech(
        acoustic_model / "config.yaml", acoustic_model / "1epoch.pth", vocoder_file=tiny_vocoder, maxlenratio=1.0
    )
    assert speaker.fs == 16000
    out = speaker("YES NO")
    assert out["wav"].shape == (len(out["feat_gen"]) * HOP,)
    mel = (math.log(10) * out["feat_gen"].t()).clamp(min=math.log(1e-5))
    vocoder = EVAGANVocoder.load(tiny_vocoder)
    assert torch.allclose(out["wav"], vocoder.synthesize(mel), atol=1e-4)
    assert not torch.allclose(out["wav"], vocoder.synthesize(mel - 1.0), atol=1e-2)
    assert "EVA-GAN(16000 Hz" in repr(speaker.vocoder)
    out["wav"] *= 0.5  # which PyTorch refuses for what inference_mode has made


def test_an_exported_file_speaks_as_its_checkpoint_does(acoustic_model, tmp_path):
    """Whatever config stands beside it; the acoustic model's mel is checked against the contract inside."""
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    config = build_config(TINY["vocoder_conf"])
    torch.manual_seed(0)
    # Not as loud as tiny_vocoder, of which float32 itself, on some processors, is 1e-5 away from double precision.
    tiny_vocoder = tmp_path / "voc"
    save_checkpoint(tiny_vocoder, config, awaken(EVAGANGenerator.from_config(config), 1.35))
    export(*load_checkpoint(tiny_vocoder), tmp_path / "voc.onnx")
    (tmp_path / "config.yaml").write_text("tts: tacotron2\n")
    paths = {"train_config": acoustic_model / "config.yaml", "model_file": acoustic_model / "1epoch.pth"}
    options = {"maxlenratio": 1.0, "always_fix_seed": True}
    wavs = []
    for vocoder_file in (tiny_vocoder, tmp_path / "voc.onnx"):
        speaker = Text2Speech(**paths, vocoder_file=str(vocoder_file), **options)
        wavs.append(speaker("YES NO")["wav"])
    assert isinstance(speaker.vocoder.vocoder.generator, OnnxGenerator)
    assert wavs[0].abs().max() > 0 and torch.allclose(*wavs, atol=1e-5)
    other = vocoder_of(tmp_path / "other", center=False)
    export(*load_checkpoint(other), tmp_path / "other.onnx")
    with pytest.raises(UsageError, match=r"other\.onnx: center is True there and False here"):
        Text2Speech(**paths, vocoder_file=tmp_path / "other.onnx")
    with pytest.raises(UsageError, match="has its config inside"):
        Text2Speech(**paths, vocoder_file=tmp_path / "voc.onnx", vocoder_config=tiny_vocoder / "config.yaml")


def test_from_pretrained_takes_our_vocoder_too(acoustic_model, tiny_vocoder):
    paths = {"train_config": acoustic_model / "config.yaml", "model_file": acoustic_model / "1epoch.pth"}
    options = {**paths, "vocoder_file": tiny_vocoder, "maxlenratio": 1.0, "always_fix_seed": True}
    speaker = Text2Speech.from_pretrained(**options)
    assert isinstance(speaker.vocoder, ESPnetVocoder)
    assert torch.equal(speaker("YES NO")["wav"], Text2Speech(**options)("YES NO")["wav"])


def test_inference_is_without_weight_norm_and_without_autograd(acoustic_model, tiny_vocoder):
    paths = acoustic_model / "config.yaml", acoustic_model / "1epoch.pth"
    speaker = Text2Speech(*paths, vocoder_file=tiny_vocoder, maxlenratio=1.0)
    generator, seen = speaker.vocoder.vocoder.generator, []
    generator.register_forward_hook(lambda *_: seen.append(torch.is_inference_mode_enabled()))
    speaker("YES")
    assert seen == [True]
    assert not any("parametrizations" in name for name in generator.state_dict())


def test_normalised_features_are_refused(acoustic_model, tiny_vocoder):
    paths = acoustic_model / "config.yaml", acoustic_model / "1epoch.pth"
    with pytest.raises(UsageError, match="prefer_normalized_feats: EVA-GAN takes features that are not normalised"):
        Text2Speech(*paths, vocoder_file=tiny_vocoder, prefer_normalized_feats=True)
    assert Text2Speech(*paths, prefer_normalized_feats=True).prefer_normalized_feats


@pytest.mark.slow
def test_a_text_without_a_known_token_ends_the_command_in_one_line(inference_options, tiny_vocoder, tmp_path):
    (tmp_path / "text").write_text("greek \u03c9\u03c8 \u03c7\n")
    options = [
        f"{tmp_path / 'text'},text,text" if str(one).endswith(",text,text") else one for one in inference_options
    ]
    done = run(*HOST, *options, "--vocoder_file", tiny_vocoder / "model.safetensors", "--output_dir", tmp_path / "out")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "a text has no token that the acoustic model knows (3 unknown)" in done.stderr.strip().splitlines()[-1]
    assert not list(tmp_path.rglob("*.wav"))


def test_a_text_without_a_known_token_is_refused_and_one_with_some_is_spoken(acoustic_model, tiny_vocoder, caplog):
    paths = acoustic_model / "config.yaml", acoustic_model / "1epoch.pth"
    speaker = Text2Speech(*paths, vocoder_file=tiny_vocoder, maxlenratio=1.0)
    for text in ("\u03c9\u03c8", "\u03c9 \u03c8", " ", ""):
        with pytest.raises(UsageError, match=r"no token that the acoustic model knows .*: write it with .* O "):
            speaker(text)
    with pytest.raises(UsageError, match="no token"):
        speaker.batch_call(["YES", "\u03c9"])
    assert speaker("YES")["wav"].abs().max() > 0
    assert speaker("YES \u03c9")["wav"].abs().max() > 0
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("evagan_plugin")]
    assert ours == ["1 of 5 tokens of a text are unknown to the acoustic model"]
    assert "wav" in Text2Speech(*paths, maxlenratio=1.0)("\u03c9\u03c8")


def test_normalised_features_are_restored(speaking_command, acoustic_model, tiny_vocoder, tmp_path):
    stats = {"count": 2, "sum": np.full(80, -4.0), "sum_square": np.full(80, 2 * (2.0**2 + 3.0**2))}
    np.savez(tmp_path / "stats.npz", **stats)
    config = yaml.safe_load((acoustic_model / "config.yaml").read_text())
    config |= {"normalize": "global_mvn", "normalize_conf": {"stats_file": str(tmp_path / "stats.npz")}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    speaker = Text2Speech(tmp_path / "config.yaml", vocoder_file=tiny_vocoder, maxlenratio=1.0)
    out = speaker("YES NO")
    assert torch.allclose(out["feat_gen_denorm"], 3.0 * out["feat_gen"] - 2.0, atol=1e-4)
    mel = (math.log(10) * out["feat_gen_denorm"].t()).clamp(min=math.log(1e-5))
    assert torch.allclose(out["wav"], EVAGANVocoder.load(tiny_vocoder).synthesize(mel), atol=1e-4)


def test_griffin_lim_and_foreign_vocoders_are_left_to_espnet(acoustic_model):
    speaker = Text2Speech(acoustic_model / "config.yaml", acoustic_model / "1epoch.pth")
    assert type(speaker.vocoder).__module__.startswith("espnet2.")
    with pytest.raises(Exception, match=r"parallel_wavegan|No such file|kaiser"):
        Text2Speech(acoustic_model / "config.yaml", acoustic_model / "1epoch.pth", vocoder_file="other.pkl")


def test_singing_shares_the_hook(tiny_vocoder):
    class Model:
        feats_extract = LogMelFbank(**FEATURES)

    vocoder = SVSTask.build_vocoder_from_file(None, str(tiny_vocoder), Model(), "cpu")
    assert isinstance(vocoder, ESPnetVocoder)
    assert vocoder(torch.zeros(5, 80)).shape == (5 * HOP,)


def test_features_from_files_are_taken_unchecked_with_a_warning(acoustic_model, tiny_vocoder, tmp_path, caplog):
    config = yaml.safe_load((acoustic_model / "config.yaml").read_text()) | {"feats_extract": None, "odim": 80}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    speaker = Text2Speech(tmp_path / "config.yaml", vocoder_file=tiny_vocoder, maxlenratio=1.0)
    assert speaker.vocoder.conversion is None
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("evagan_plugin")]
    assert "the acoustic model has no feats_extract" in message and str(tiny_vocoder) in message
