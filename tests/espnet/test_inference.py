"""Text to speech through EVA-GAN: ESPnet's own commands and classes, the mel contract, and what is refused."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from espnet2.bin.tts_inference import Text2Speech
from espnet2.tasks.svs import SVSTask
from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank
from espnet2.tts.feats_extract.log_spectrogram import LogSpectrogram
from tiny_models import FEATURES, TINY

from evagan_plugin import EVAGANVocoder
from evagan_plugin.checkpoint import save_checkpoint
from evagan_plugin.config import build_config, config_to_dict
from evagan_plugin.errors import ConfigError, EvaganError, UsageError
from evagan_plugin.espnet import register
from evagan_plugin.espnet.generated_mels import align, check_features, convert_features
from evagan_plugin.espnet.vocoder import ESPnetVocoder, load_vocoder, mel_of
from evagan_plugin.generator import EVAGANGenerator
from evagan_plugin.mel import MelSpectrogram

register()

HOP = 256
TINY_CONFIG = TINY["vocoder_conf"]
HOST = "espnet2.bin.tts_inference"
WRAPPER = "evagan_plugin.espnet.bin.tts_inference"


def run(module: str, *options: object, autoload: str = "1") -> subprocess.CompletedProcess:
    """Run a host's command or a wrapper in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", module, *map(str, options)],
        env={**os.environ, "EVAGAN_PLUGIN_AUTOLOAD": autoload, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def vocoder_of(directory: Path, **mel: object) -> Path:
    """Save a vocoder of another mel."""
    config = build_config({**TINY_CONFIG, "mel": mel})
    save_checkpoint(directory, config, EVAGANGenerator.from_config(config))
    return directory


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


@pytest.fixture(scope="module")
def trained_vocoder(train, tmp_path_factory) -> Path:
    """Checkpoint of a short run of ``vocoder_train``, with its ``config.yaml`` beside it."""
    experiment = train(tmp_path_factory.mktemp("voc") / "exp", {"num_iters_per_epoch": 1})
    return experiment / "valid.mel.best.pth"


def test_the_hosts_command_speaks_through_eva_gan(inference_options, trained_vocoder, spoken, tmp_path):
    weights = trained_vocoder
    config = trained_vocoder.with_name("config.yaml")
    done = run(
        HOST, *inference_options, "--vocoder_file", weights, "--vocoder_config", config, "--output_dir", tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert_spoken(tmp_path, spoken / "valid")


@pytest.mark.slow
def test_the_wrapper_speaks_without_the_hook(inference_options, tiny_vocoder, spoken, tmp_path):
    done = run(
        *(WRAPPER, *inference_options, "--vocoder_file", tiny_vocoder / "model.safetensors"),
        *("--output_dir", tmp_path),
        autoload="0",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert_spoken(tmp_path, spoken / "valid")


def test_without_hook_and_wrapper_the_host_says_what_it_cannot_read(inference_options, tiny_vocoder, tmp_path):
    weights = tiny_vocoder / "model.safetensors"
    done = run(HOST, *inference_options, "--vocoder_file", weights, "--output_dir", tmp_path, autoload="0")
    assert done.returncode != 0
    *_, error, reminder = done.stderr.strip().splitlines()
    assert error.endswith(f"{weights} is not supported format.")
    assert reminder.startswith("EVAGAN_PLUGIN_AUTOLOAD=0: espnet2 does not know EVA-GAN; unset it, or call ")
    assert not list(tmp_path.rglob("*.wav"))


@pytest.mark.slow
def test_a_vocoder_that_does_not_fit_ends_the_command_in_one_line(inference_options, tmp_path):
    other = vocoder_of(tmp_path / "voc", center=False) / "model.safetensors"
    done = run(HOST, *inference_options, "--vocoder_file", other, "--output_dir", tmp_path / "out")
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
    done = run(HOST, *options, "--vocoder_file", tiny_vocoder / "model.safetensors", "--output_dir", tmp_path / "out")
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


@pytest.mark.parametrize("log_base", [10.0, None, 2.0])
def test_the_mel_of_an_extractor_is_what_the_extractor_computes(log_base):
    extractor = LogMelFbank(**{**FEATURES, "log_base": log_base})
    wav = 0.1 * torch.randn(1, 8000)
    theirs = extractor(wav, torch.tensor([8000]))[0]
    ours = MelSpectrogram(mel_of(extractor))(wav.unsqueeze(1)).transpose(1, 2)
    assert torch.allclose(theirs, ours, atol=1e-4)


def test_features_become_the_vocoders_mel(tiny_vocoder):
    vocoder = load_vocoder(tiny_vocoder, feats_extract=LogMelFbank(**FEATURES))
    wav = 0.1 * torch.randn(1, 8000)
    feats = LogMelFbank(**FEATURES)(wav, torch.tensor([8000]))[0][0]
    expected = vocoder.vocoder.mel_spectrogram(wav.unsqueeze(1))[0]
    assert torch.allclose(vocoder.conversion(feats.t()), expected, atol=0.01)


def test_a_mismatch_lists_every_field_with_both_values_and_what_to_do(tmp_path):
    directory = vocoder_of(tmp_path, center=False, f_min=0, f_max=8000)
    with pytest.raises(ConfigError) as caught:
        load_vocoder(directory, feats_extract=LogMelFbank(**FEATURES))
    message = str(caught.value)
    for part in ("f_min is 80", "and 0.0 here", "upper_edge is 7600", "and 8000.0 here", "center is True there"):
        assert part in message
    assert "preset: eva_gan_tiny_16k" in message
    rate = LogMelFbank(**{**FEATURES, "fs": 22050, "fmin": 0, "fmax": 8000})
    with pytest.raises(ConfigError, match="sample_rate is 22050 there and 16000 here") as caught:
        load_vocoder(directory, feats_extract=rate)
    assert "vocoder_conf.mel: {sample_rate: 22050, center: true}" in str(caught.value)
    hop = LogMelFbank(**{**FEATURES, "hop_length": 200, "n_mels": 64})
    with pytest.raises(
        ConfigError, match=r"hop_length is 200 there and 256 here; n_mels is 64 .* and 80 here"
    ) as caught:
        load_vocoder(directory, feats_extract=hop)
    assert "upsample_rates whose product is 200" in str(caught.value)


def test_what_the_remedy_says_makes_a_vocoder_that_fits(tmp_path):
    """The options that an error names, put into a config, are accepted."""
    extractor = LogMelFbank(**{**FEATURES, "hop_length": 128, "fmax": 7000})
    with pytest.raises(ConfigError) as caught:
        load_vocoder(vocoder_of(tmp_path / "other"), feats_extract=extractor)
    remedy = str(caught.value).partition("vocoder_conf.mel: ")[2]
    mel, _, rates = remedy.partition(" and vocoder_conf.generator.upsample_rates whose product is ")
    assert rates == "128"
    config = build_config(
        {
            **TINY_CONFIG,
            "mel": yaml.safe_load(mel),
            "generator": {**TINY_CONFIG["generator"], "upsample_rates": [8, 16]},
        }
    )
    save_checkpoint(tmp_path / "fits", config, EVAGANGenerator.from_config(config))
    assert load_vocoder(tmp_path / "fits", feats_extract=extractor)(torch.zeros(5, 80)).shape == (5 * 128,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"feats_extract": "linear_spectrogram"}, "feats_extract is linear_spectrogram, not fbank"),
        ({"feats_extract_conf": {"fmim": 80}}, "feats_extract_conf: .*fmim"),
        ({"feats_extract_conf": {**FEATURES, "fmin": 0}}, "f_min is 0.* there and 80.* here"),
    ],
)
@pytest.mark.parametrize("kind", ["checkpoint", "training config"])
def test_features_are_compared_before_anything_is_trained(kind, change, message, tiny_vocoder, tmp_path):
    acoustic, vocoder = tmp_path / "acoustic.yaml", tmp_path / "vocoder.yaml"
    acoustic.write_text(yaml.safe_dump({"tts": "tacotron2", "feats_extract_conf": FEATURES} | change))
    vocoder.write_text(yaml.safe_dump(TINY))
    target = tiny_vocoder if kind == "checkpoint" else vocoder
    if message is None:
        check_features(acoustic, target)
    else:
        with pytest.raises(ConfigError, match=message):
            check_features(acoustic, target)


def test_other_features_than_mels_are_refused(tiny_vocoder):
    with pytest.raises(ConfigError, match="LogSpectrogram, not log-mels"):
        load_vocoder(tiny_vocoder, feats_extract=LogSpectrogram(n_fft=1024, hop_length=HOP))
    with pytest.raises(ConfigError, match="window blackman"):
        load_vocoder(tiny_vocoder, feats_extract=LogMelFbank(**{**FEATURES, "window": "blackman"}))


def test_a_config_that_is_no_vocoders_is_refused(acoustic_model, tiny_vocoder):
    with pytest.raises(ConfigError, match="has no 'vocoder:'"):
        load_vocoder(tiny_vocoder, acoustic_model / "config.yaml")
    with pytest.raises(UsageError, match="there is no checkpoint"):
        load_vocoder(acoustic_model / "nothing.pth", tiny_vocoder / "config.yaml")


def test_a_checkpoint_of_another_config_is_refused(tiny_vocoder, tmp_path):
    settings = config_to_dict(build_config(TINY_CONFIG))
    settings["generator"]["channels"] = 128
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(EvaganError, match="does not fit the config"):
        load_vocoder(tiny_vocoder / "model.safetensors", tmp_path / "config.yaml")


def test_a_truncated_checkpoint_is_refused(trained_vocoder, tmp_path):
    half = tmp_path / "half.pth"
    half.write_bytes(trained_vocoder.read_bytes()[:5000])
    with pytest.raises(EvaganError, match=r"half\.pth: damaged or truncated"):
        load_vocoder(half, trained_vocoder.with_name("config.yaml"))


def test_features_from_files_are_taken_unchecked_with_a_warning(acoustic_model, tiny_vocoder, tmp_path, caplog):
    config = yaml.safe_load((acoustic_model / "config.yaml").read_text()) | {"feats_extract": None, "odim": 80}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    speaker = Text2Speech(tmp_path / "config.yaml", vocoder_file=tiny_vocoder, maxlenratio=1.0)
    assert speaker.vocoder.conversion is None
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("evagan_plugin")]
    assert "the acoustic model has no feats_extract" in message and str(tiny_vocoder) in message


def test_features_of_another_shape_are_refused(tiny_vocoder):
    vocoder = load_vocoder(tiny_vocoder)
    with pytest.raises(UsageError, match=r"\(frames, 80\) are expected, not \(80, 7\)"):
        vocoder(torch.zeros(80, 7))


@pytest.fixture
def generated(acoustic_model, spoken, tmp_path) -> Path:
    """Features of the validation utterances as the acoustic model's extractor makes them: ``feats.scp``."""
    lines = []
    for line in (spoken / "valid" / "wav.scp").read_text().splitlines():
        utterance, path = line.split()
        wav = torch.from_numpy(soundfile.read(path, dtype="float32")[0])[None]
        feats = LogMelFbank(**FEATURES)(wav, torch.tensor([wav.shape[1]]))[0][0]
        np.save(tmp_path / f"{utterance}.npy", feats.numpy())
        lines.append(f"{utterance} {tmp_path / utterance}.npy\n")
    (tmp_path / "feats.scp").write_text("".join(lines))
    return tmp_path


def test_features_are_converted_and_aligned_for_fine_tuning(
    generated, acoustic_model, tiny_vocoder, spoken, tmp_path, train
):
    out = tmp_path / "mels"
    config, scp, wavs = acoustic_model / "config.yaml", generated / "feats.scp", spoken / "valid" / "wav.scp"
    assert convert_features(config, tiny_vocoder / "model.safetensors", scp, wavs, out) == 2
    for line in (out / "feats.scp").read_text().splitlines():
        utterance, path = line.split()
        mel, (wav, _) = np.load(path), soundfile.read(spoken / "valid" / f"{utterance}.wav", dtype="float32")
        assert mel.shape == (-(-len(wav) // HOP), 80)
        truth = EVAGANVocoder.load(tiny_vocoder).mel_spectrogram(torch.from_numpy(wav)[None, None])[0].t().numpy()
        shared = min(len(mel), len(truth))
        assert np.abs(mel[:shared] - truth[:shared]).max() < 0.02
    tuned = train(tmp_path / "tuned", {"num_iters_per_epoch": 1}, train=out, feats=False)
    assert (tuned / "checkpoint.pth").is_file()


def test_features_that_do_not_belong_to_the_recordings_are_refused(generated, acoustic_model, tiny_vocoder, spoken):
    config, scp, wavs = acoustic_model / "config.yaml", generated / "feats.scp", spoken / "valid" / "wav.scp"
    utterance, path = scp.read_text().split()[:2]
    mel = np.load(path)
    for broken, message in (
        (mel.T, rf"of '{utterance}' have shape .*swapped"),
        (mel[:-20], f"'{utterance}' has .*teacher forcing"),
        (np.full_like(mel, np.nan), "not finite"),
    ):
        np.save(path, broken)
        with pytest.raises(EvaganError, match=message):
            convert_features(config, tiny_vocoder / "model.safetensors", scp, wavs, generated / "out")
    assert not (generated / "out" / "feats.scp").exists()


def test_alignment_cuts_and_repeats_the_last_frame():
    mel = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert np.array_equal(align(mel, 2), mel[:2])
    assert np.array_equal(align(mel, 5), mel[[0, 1, 2, 2, 2]])
