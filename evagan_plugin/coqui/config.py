"""``EvaGanConfig``: Coqui's training options, its ``audio``, and our vocoder config under ``vocoder_conf``."""

import argparse
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from trainer import TrainerArgs
from TTS.config.shared_configs import BaseAudioConfig
from TTS.vocoder.configs.shared_configs import BaseVocoderConfig

from evagan_plugin.audio.mel import MelConversion
from evagan_plugin.config import OptimizationConfig, VocoderConfig, build_config, config_to_dict, load_preset
from evagan_plugin.coqui.mel import audio_config, audio_fields, mel_config
from evagan_plugin.errors import ConfigError, nearest

PRESET = "eva_gan_base_22k"
"""Taken where a config or a recipe names none."""

DEFAULTS = OptimizationConfig()

NOTES = ("restore_path", "github_branch")
"""What Coqui's trainer writes into ``config.json`` beside the config."""

UNSUPPORTED = {
    "seq_len": (0, "an item's length is vocoder_conf.training.segment_frames"),
    "use_noise_augment": (False, "EVA-GAN trains on recordings as they are"),
    "pad_short": (0, "short recordings are padded to whole items"),
    "conv_pad": (0, "items need no padding"),
    "use_cache": (False, "mels are computed where the model is"),
    "wd": (0.0, "set weight_decay in optimizer_params"),
    "lr": (0.001, "set lr_gen and lr_disc"),
    "lr_scheduler": (None, "set lr_scheduler_gen and lr_scheduler_disc"),
    "use_grad_scaler": (False, "float32 and bfloat16 need no scaler"),
}
"""Options of Coqui that have no meaning here: the only value they may have, and why."""
UNSUPPORTED_AUDIO = {
    "do_trim_silence": (False, "trimming would shift audio against its mel; trim the files beforehand"),
    "do_sound_norm": (False, "normalise the files beforehand"),
    "do_rms_norm": (False, "normalise the files beforehand"),
}
LEAST = {
    "batch_size": 1,
    "eval_batch_size": 1,
    "print_step": 1,
    "plot_step": 1,
    "save_step": 1,
    "epochs": 0,
    "eval_split_size": 0,
    "num_loader_workers": 0,
    "num_eval_loader_workers": 0,
    "num_test_utterances": 0,
    "training_seed": 0,
    "steps_per_epoch": 0,
}
"""Whole numbers that Coqui takes unseen: what they must be at least."""


@dataclass
class EvaGanTrainerArgs(TrainerArgs):
    """Coqui's trainer arguments and those of the recipes."""

    data_path: str = field(
        default="", metadata={"help": "Folder with the recordings, searched with its subfolders, or a mix.yaml."}
    )
    preset: str = field(default=PRESET, metadata={"help": "Preset of the vocoder; its mel is the one of config.audio."})
    max_steps: int = field(default=0, metadata={"help": "Stop after so many training steps; 0 goes on for all epochs."})


def _preset_audio() -> BaseAudioConfig:
    """Return the mel of :data:`PRESET`, which is the one of Coqui's LJSpeech recipes (acoustic models and vocoders)."""
    return audio_config(load_preset(PRESET).mel)


@dataclass
class EvaGanConfig(BaseVocoderConfig):
    """Config of ``model: eva_gan``.

    Optimizers, schedulers and ``grad_clip`` come in Coqui's order: discriminators, generator. The mel is the one of
    ``audio``; a mel under ``vocoder_conf`` may differ from it in what can be converted exactly (logarithm, gain,
    lower floor).
    """

    model: str = "eva_gan"
    audio: BaseAudioConfig = field(default_factory=_preset_audio)
    vocoder_conf: dict = field(
        default_factory=lambda: {"preset": PRESET},
        metadata={"help": "preset: NAME, and fields that override it (see `evagan info`)"},
    )
    seq_len: int = 0
    batch_size: int = DEFAULTS.batch_size
    target_loss: str = "mel"
    num_test_utterances: int = field(
        default=3, metadata={"help": "Utterances that are synthesised for the dashboard after each epoch."}
    )
    steps_per_epoch: int = field(
        default=0,
        metadata={"help": "Batches of an epoch where data_path is a mix.yaml; 0 for as many as a pass of it has."},
    )
    grad_clip: float | list[float] = field(default_factory=lambda: [DEFAULTS.grad_clip] * 2)
    optimizer: str = DEFAULTS.optimizer
    optimizer_params: dict = field(
        default_factory=lambda: {
            "betas": list(DEFAULTS.betas),
            "weight_decay": DEFAULTS.weight_decay,
            "fused": DEFAULTS.fused,
        }
    )
    lr_gen: float = DEFAULTS.learning_rate
    lr_disc: float = DEFAULTS.learning_rate
    lr_scheduler_gen: str | None = "ExponentialLR"
    lr_scheduler_gen_params: dict = field(default_factory=lambda: {"gamma": DEFAULTS.lr_decay})
    lr_scheduler_disc: str | None = "ExponentialLR"
    lr_scheduler_disc_params: dict = field(default_factory=lambda: {"gamma": DEFAULTS.lr_decay})
    allow_tf32: bool = True
    cudnn_benchmark: bool = True

    def deserialize(self, data: dict[str, Any]) -> "EvaGanConfig":
        """Take the fields of a dict, as Coqpit does; raises :class:`ConfigError` for a name or a kind that is wrong."""
        known = {one.name for one in fields(self)}
        _check_names(data, known | set(NOTES))
        if isinstance(data.get("audio"), Mapping):
            _check_names(data["audio"], audio_fields(), "audio.")
        with warnings.catch_warnings():
            # Coqpit warns of a value of the wrong kind and goes on with the default.
            warnings.simplefilter("error", UserWarning)
            try:
                return super().deserialize({name: value for name, value in data.items() if name in known})
            except (UserWarning, TypeError, ValueError) as error:
                lines = [line for line in str(error).splitlines() if line.startswith(("Failed", "Value"))]
                message = " ".join(lines) or " ".join(str(error).split()) or _out_of_range(data.get("audio") or {})
                raise ConfigError(message) from None

    def load_json(self, file_name: str | Path) -> None:
        """Read a file, as Coqpit does (raises :class:`ConfigError`, the path in front)."""
        try:
            super().load_json(file_name)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file_name}: not a config of Coqui TTS: {error}") from error
        except ConfigError as error:
            raise error.within(file_name) from None

    def parse_known_args(
        self,
        args: argparse.Namespace | list[str] | None = None,
        arg_prefix: str = "coqpit",
        *,
        relaxed_parser: bool = False,
    ) -> list[str]:
        """Take options such as ``--coqpit.batch_size 8``, as Coqpit does, but refuse those that are none of ours."""
        if args is not None and not args:
            return []
        unknown = super().parse_known_args(args, arg_prefix, relaxed_parser=relaxed_parser)
        if unknown:
            wrong = unknown[0].partition("=")[0]
            if not wrong.startswith("-"):
                raise ConfigError(f"unexpected argument '{wrong}': options begin with --{arg_prefix}.")
            names = [one.name for one in fields(self)] + [f"audio.{name}" for name in audio_fields()]
            known = {f"--{arg_prefix}.{name}" for name in names}
            known |= {f"--{one.name}" for one in fields(EvaGanTrainerArgs)}
            raise ConfigError(f"unknown option '{wrong}': {nearest(wrong, known - {wrong})}")
        return []


def vocoder_config(config: EvaGanConfig) -> VocoderConfig:
    """Return the whole vocoder that a config describes.

    Raises:
        ConfigError: If ``vocoder_conf``, ``audio`` or an option of Coqui's is wrong or has no effect here.
        MelMismatchError: If ``vocoder_conf`` has a mel that the one of ``audio`` cannot be converted to.
    """
    if not isinstance(config.audio, BaseAudioConfig):
        raise ConfigError(f"audio: a mapping of Coqui's audio fields is expected, not {config.audio!r:.80}")
    _check_values(config, UNSUPPORTED)
    _check_values(config.audio, UNSUPPORTED_AUDIO, "audio.")
    _check_numbers(config)
    mel = mel_config(config.audio)
    settings = _mapping("vocoder_conf", config.vocoder_conf)
    settings["mel"] = config_to_dict(mel) | _mapping("vocoder_conf.mel", settings.get("mel") or {})
    if config.mixed_precision:
        if config.precision != "bf16":
            raise ConfigError(
                f"precision {config.precision}: bf16 alone is offered, EVA-GAN's authors found float16 unstable in "
                "training; set precision: bf16, or mixed_precision: false"
            )
        training = _mapping("vocoder_conf.training", settings.get("training") or {})
        settings["training"] = training | {"bf16": True}
    try:
        vocoder = build_config(settings)
        channels = vocoder.own_generator.global_channels
    except ConfigError as error:
        raise error.within("vocoder_conf") from None
    MelConversion(mel, vocoder.mel, source_name="audio", target_name="vocoder_conf.mel")
    if channels:
        raise ConfigError(
            f"vocoder_conf: generator.global_channels {channels}: a stand-alone vocoder has no global condition"
        )
    return vocoder


def _mapping(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: a mapping of config fields is expected, not {value!r:.80}")
    return dict(value)


def _out_of_range(audio: Mapping[str, Any]) -> str:
    """Say which value of an ``audio`` section Coqui does not take: it raises an error without a word."""
    for name, value in audio.items():
        try:
            BaseAudioConfig(**{name: value})
        except ValueError:
            return f"audio.{name} {value!r} is out of the range that Coqui TTS takes"
    return "audio: values are out of the range that Coqui TTS takes"


def _check_numbers(config: EvaGanConfig) -> None:
    for name, least in LEAST.items():
        value = getattr(config, name)
        if not isinstance(value, int) or value < least:
            raise ConfigError(f"{name} {value!r}: a whole number of at least {least} is expected")
    clip = config.grad_clip
    if not isinstance(clip, list) or len(clip) != 2 or not all(isinstance(one, int | float) for one in clip):
        raise ConfigError(f"grad_clip {clip}: a list of two is expected, [discriminators, generator]")


def _check_names(data: Mapping[str, Any], known: set[str], prefix: str = "") -> None:
    unknown = next((name for name in data if name not in known), None)
    if unknown is not None:
        raise ConfigError(f"unknown config field '{prefix}{unknown}': {nearest(unknown, known)}")


def _check_values(config: Any, only: Mapping[str, tuple[Any, str]], prefix: str = "") -> None:
    for name, (value, why) in only.items():
        if getattr(config, name) != value:
            raise ConfigError(f"{prefix}{name} {getattr(config, name)!r} cannot be used, leave it at {value!r}: {why}")
