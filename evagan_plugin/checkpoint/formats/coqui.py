"""HiFi-GAN of Coqui TTS (``hifigan_generator``): ``model`` in a pickle, ``config.json``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evagan_plugin.checkpoint.formats.coqui_audio import DEFAULTS, mel_settings, range_normalization
from evagan_plugin.checkpoint.formats.fields import take, take_only
from evagan_plugin.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return our settings for their ``config.json``; tensors are named as in the authors' HiFi-GAN."""
    take_only(config, "config", generator_model="hifigan_generator")
    params = take(config, "generator_model_params", "config")
    take_only(params, "generator_model_params", out_channels=1, cond_in_each_up_layer=False, pre_linear=None)
    where = "generator_model_params"
    audio = DEFAULTS | take(config, "audio", "config")
    if audio["signal_norm"] and audio["stats_path"]:
        raise ConfigError(
            "audio.stats_path: statistics in a pickled array cannot be read without running its code",
            "audio.stats_path",
        )
    return {
        "preset": "hifigan_v1_22k",
        "mel": mel_settings(audio),
        "generator": {
            "channels": take(params, "upsample_initial_channel", where),
            "upsample_rates": take(params, "upsample_factors", where),
            "upsample_kernels": take(params, "upsample_kernel_sizes", where),
            "resblock_kernels": take(params, "resblock_kernel_sizes", where),
            "resblock_dilations": take(params, "resblock_dilation_sizes", where),
            "resblock": int(take(params, "resblock_type", where)),
            "global_channels": params.get("cond_channels", 0),
            "normalize": audio["signal_norm"],
        },
    }


def statistics(config: Mapping[str, Any], folder: Path) -> dict[str, "Tensor"]:
    """Return what undoes the normalisation of the ``audio`` section to a range, under our names; nothing if none."""
    import torch  # here: a config is read without it

    audio = DEFAULTS | config["audio"]
    pair = range_normalization(audio)
    if pair is None:
        return {}
    mean, scale = (torch.full((audio["num_mels"], 1), value) for value in pair)
    return {"normalisation.mean": mean, "normalisation.scale": scale}
