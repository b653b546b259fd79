"""What a config says, and what is refused in one line."""

import pytest
from TTS.config.shared_configs import BaseAudioConfig

from evagan_plugin.audio.mel import MelMismatchError
from evagan_plugin.config import config_to_dict, load_preset
from evagan_plugin.coqui.config import EvaGanConfig, vocoder_config
from evagan_plugin.errors import ConfigError


def test_the_mel_is_the_one_of_audio():
    vocoder = vocoder_config(EvaGanConfig())
    assert vocoder.mel.center and vocoder.mel.f_max == 8000.0  # the preset has frames that are not centred
    assert vocoder.generator == load_preset("eva_gan_base_22k").generator


def test_the_default_audio_is_the_one_of_coquis_ljspeech_recipes():
    assert EvaGanConfig().audio == BaseAudioConfig(
        sample_rate=22050,
        fft_size=1024,
        win_length=1024,
        hop_length=256,
        num_mels=80,
        mel_fmin=0.0,
        mel_fmax=8000.0,
        log_func="np.log",
        spec_gain=1,
        preemphasis=0.0,
        signal_norm=False,
        do_trim_silence=False,
    )


def test_the_complete_config_says_the_same_again():
    vocoder = vocoder_config(EvaGanConfig())
    again = EvaGanConfig()
    again.from_dict({**EvaGanConfig(vocoder_conf=config_to_dict(vocoder)).to_dict(), "github_branch": "main"})
    assert vocoder_config(again) == vocoder


def test_bf16_is_handed_on():
    config = EvaGanConfig(mixed_precision=True, precision="bf16")
    assert vocoder_config(config).training.bf16


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"batchsize": 4}, "unknown config field 'batchsize': did you mean 'batch_size'"),
        ({"audio": {"samplerate": 16000}}, "unknown config field 'audio.samplerate': did you mean 'sample_rate'"),
        ({"lr_gen": "fast"}, "lr_gen.*fast"),
        ({"audio": {"mel_fmin": "low"}}, "mel_fmin|audio"),
        ({"audio": {"spec_gain": 0}}, "audio.spec_gain 0 is out of the range"),
        ({"audio": {"min_level_db": 100}}, "audio.min_level_db 100 is out of the range"),
        ({"audio": {"log_func": "np.log2"}}, "audio.*np.log2"),
    ],
)
def test_fields_that_coqpit_would_drop_are_refused(data, message):
    with pytest.raises(ConfigError, match=message) as caught:
        EvaGanConfig().from_dict({"model": "eva_gan", **data})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vocoder_conf": {"preset": "eva_gan_base_22k", "generator": {"chanels": 8}}}, "did you mean 'channels'"),
        ({"vocoder_conf": {"preset": "eva_gan_base_44k"}}, "upsample_rates .* = 512 is not mel.hop_length 256"),
        ({"vocoder_conf": {"preset": "eva_gan_base_22k", "generator": {"global_channels": 4}}}, "global_channels"),
        ({"mixed_precision": True}, "float16 unstable.*bf16"),
        ({"use_grad_scaler": True}, "use_grad_scaler"),
        ({"seq_len": 8192}, "seq_len 8192 cannot be used, .*segment_frames"),
        ({"use_cache": True}, "use_cache"),
        ({"grad_clip": 5.0}, "grad_clip 5.0: a list of two"),
        ({"grad_clip": ["a", "b"]}, "grad_clip .*: a list of two"),
        ({"batch_size": 0}, "batch_size 0: a whole number of at least 1"),
        ({"training_seed": None}, "training_seed None: a whole number"),
        ({"audio": None}, "audio: a mapping"),
        ({"vocoder_conf": None}, "vocoder_conf: a mapping"),
        ({"vocoder_conf": {"preset": "eva_gan_base_22k", "mel": 3}}, "vocoder_conf.mel: a mapping"),
        ({"vocoder_conf": {"preset": "eva_gan_base_22k", "training": 3}}, "vocoder_conf: training"),
        (
            {"vocoder_conf": {"preset": "eva_gan_base_22k", "generator": {"context": {"dimz": [8]}}}},
            "unknown config field 'generator.context.dimz': did you mean 'dims'",
        ),
        ({"lr": 1e-4}, "lr_gen and lr_disc"),
        ({"audio": BaseAudioConfig(do_trim_silence=True)}, "audio.do_trim_silence True"),
    ],
)
def test_values_that_cannot_be_used_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message) as caught:
        vocoder_config(EvaGanConfig(**fields))
    assert "\n" not in str(caught.value)


def test_a_mel_that_audio_cannot_be_converted_to_is_refused():
    config = EvaGanConfig(vocoder_conf={"preset": "eva_gan_base_22k", "mel": {"f_max": 7600.0, "log": "log10"}})
    with pytest.raises(MelMismatchError, match=r"f_max is 8000\.0 there and 7600\.0 here") as caught:
        vocoder_config(config)
    assert [name for name, _, _ in caught.value.fields] == ["f_max"]  # the logarithm is mended


def test_options_override_fields_and_unknown_ones_are_refused():
    config = EvaGanConfig()
    assert config.parse_known_args(["--coqpit.batch_size", "3"], relaxed_parser=True) == []
    assert config.batch_size == 3
    wrong = {
        "--coqpit.batchsize 3": r"unknown option '--coqpit\.batchsize': did you mean '--coqpit\.batch_size'",
        "--coqpit.audio.samplerate=3": r"'--coqpit\.audio\.samplerate': did you mean '--coqpit\.audio\.sample_rate'",
        "--coqpit.vocoder_conf.presets x": r"unknown option '--coqpit\.vocoder_conf\.presets'",
        "--max_stepz 3": r"unknown option '--max_stepz': did you mean '--max_steps'",
        "batch_size=3": "unexpected argument 'batch_size'",
    }
    for options, message in wrong.items():
        with pytest.raises(ConfigError, match=message) as caught:
            config.parse_known_args(options.split(), relaxed_parser=True)
        assert "\n" not in str(caught.value)


def test_a_config_file_that_is_missing_or_broken_is_named(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    for name in ("missing.json", "broken.json"):
        with pytest.raises(ConfigError, match=name):
            EvaGanConfig().load_json(tmp_path / name)
