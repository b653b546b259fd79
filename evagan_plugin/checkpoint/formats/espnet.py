"""HiFi-GAN of ESPnet and ParallelWaveGAN (``HiFiGANGenerator``): pickle, ``config.yml``, ``stats.h5`` or ``.npy``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evagan_plugin.checkpoint.formats.fields import take, take_only
from evagan_plugin.checkpoint.formats.names import block_names, indexed
from evagan_plugin.config import GeneratorConfig
from evagan_plugin.errors import ConfigError, EvaganError, UsageError, require

if TYPE_CHECKING:
    from torch import Tensor

LOGS = {None: "ln", 10: "log10"}
STATISTICS = ("stats.h5", "stats.npy")


def module_names(generator: GeneratorConfig) -> dict[str, str]:
    """Return our module for each of theirs."""
    return {
        "input_conv": "upsampler.pre",
        "global_conv": "upsampler.condition",
        **indexed(len(generator.upsample_rates), "upsamples.{i}.1", "upsampler.stages.{i}.upsample"),
        **block_names(generator, "blocks.{index}.{kind}.{layer}.1"),
        "output_conv.1": "upsampler.post",
    }


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return our settings for a training config of ParallelWaveGAN.

    Its mels are librosa's (centred, Slaney) in log10, floor 1e-10, normalised by the statistics of the training data.
    """
    take_only(config, "config", generator_type="HiFiGANGenerator", window="hann")
    params = take(config, "generator_params", "config")
    only = {"nonlinear_activation": "LeakyReLU", "bias": True, "out_channels": 1, "use_causal_conv": False}
    take_only(params, "generator_params", **only)
    base = config.get("log_base", 10)
    if base not in LOGS:
        raise ConfigError(f"config.log_base {base} is not supported: null (natural) or 10", "config.log_base")
    kernel = params.get("kernel_size", 7)
    return {
        "preset": "hifigan_v1_22k",
        "mel": {
            "sample_rate": take(config, "sampling_rate", "config"),
            "n_fft": take(config, "fft_size", "config"),
            "hop_length": take(config, "hop_size", "config"),
            "win_length": config.get("win_length") or take(config, "fft_size", "config"),
            "n_mels": take(config, "num_mels", "config"),
            "f_min": config.get("fmin") or 0.0,
            "f_max": config.get("fmax"),
            "center": True,
            # So little that a magnitude stays as it is, and enough for the root to have a gradient in digital silence.
            "power_add": 1e-20,
            "log": LOGS[base],
            "floor": float(config.get("eps", 1e-10)),
        },
        "generator": {
            "channels": params.get("channels", 512),
            "upsample_rates": params.get("upsample_scales", [8, 8, 2, 2]),
            "upsample_kernels": params.get("upsample_kernel_sizes", [16, 16, 4, 4]),
            "pre_kernel": kernel,
            "post_kernel": kernel,
            "resblock_kernels": params.get("resblock_kernel_sizes", [3, 7, 11]),
            "resblock_dilations": params.get("resblock_dilations", [[1, 3, 5]]),
            "resblock": 1 if params.get("use_additional_convs", True) else 2,
            "leaky_slope": params.get("nonlinear_activation_params", {"negative_slope": 0.1}).get(
                "negative_slope", 0.01
            ),
            "global_channels": max(params.get("global_channels", 0), 0),
            "normalize": True,
        },
    }


def statistics(config: Mapping[str, Any], folder: Path) -> dict[str, "Tensor"]:
    """Return mean and scale of normalised mels under our names, from ``stats.h5`` or ``stats.npy`` in a folder.

    Raises:
        UsageError: If there is neither.
        EvaganError: If it cannot be read.
    """
    import torch  # here: a config is read without it

    path = next((folder / name for name in STATISTICS if (folder / name).is_file()), None)
    if path is None:
        raise UsageError(
            f"{folder} has no {' or '.join(STATISTICS)}: the vocoder was trained on mels normalised by these statistics"
        )
    try:
        mean, scale = _read_hdf5(path) if path.suffix == ".h5" else np.load(path, allow_pickle=False)[:2]
    except EvaganError:
        raise
    except Exception as error:  # h5py and NumPy raise many kinds
        raise EvaganError(f"{path} cannot be read as mean and scale: {error}") from error
    return {
        "normalisation.mean": torch.from_numpy(np.float32(mean)).view(-1, 1),
        "normalisation.scale": torch.from_numpy(np.float32(scale)).view(-1, 1),
    }


def _read_hdf5(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with require("h5py", "convert").File(path, "r") as file:
        return file["mean"][()], file["scale"][()]
