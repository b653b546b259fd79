"""Third-party vocoders, BigVGAN and Vocos, from local files by their own packages; and any vocoder by name."""

import contextlib
import io
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from evagan_plugin.checkpoint.formats import hifigan
from evagan_plugin.checkpoint.formats.fields import take
from evagan_plugin.checkpoint.tensors import fill, folded, read_weights
from evagan_plugin.config import MelConfig, read_settings
from evagan_plugin.errors import ConfigError, UsageError, nearest, require
from evagan_plugin.inference.engine import choose_engine
from evagan_plugin.inference.eva_gan import EVAGANVocoder
from evagan_plugin.inference.model_argument import split_model, third_party_files
from evagan_plugin.inference.vocoder import Dtype, Vocoder
from evagan_plugin.model.vocos import EXTRA as VOCOS_EXTRA
from evagan_plugin.model.vocos import VocosGenerator

VOCOS_CLASSES = {
    "feature_extractor": "vocos.feature_extractors.MelSpectrogramFeatures",
    "backbone": "vocos.models.VocosBackbone",
    "head": "vocos.heads.ISTFTHead",
}
"""What a config of Vocos may name: it is a recipe for calling anything, so nothing else is called."""


def open_vocoder(
    spec: str | Path,
    config: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    untrained: bool = False,
    engine: str | None = None,
    threads: int | None = None,
) -> Vocoder:
    """Open a vocoder by what a user calls it.

    Args:
        spec: A checkpoint or a name, as :meth:`EVAGANVocoder.load` takes it, or ``bigvgan:PATH`` or ``vocos:PATH``, as
            :func:`open_third_party` does.
        config: Its config, where it does not lie beside the weights.
        device: Where to compute.
        dtype: Floating-point type to compute in, or its name, or ``"auto"``: bfloat16 on a CPU that has it, where
            waveforms hardly change by it.
        untrained: Take the config alone, with random weights; of ours only.
        engine: ``"torch"`` or ``"onnxruntime"``, as :meth:`EVAGANVocoder.load` takes it.
        threads: Threads to compute with.

    Raises:
        UsageError: If there is no such file, kind or engine.
        EvaganError: If it cannot be opened.
    """
    kind, path = split_model(spec)
    dtype = getattr(torch, dtype) if isinstance(dtype, str) and dtype != "auto" else dtype
    if kind and untrained:
        raise UsageError(f"untrained: only a vocoder of ours can be built from its config alone, not {spec}")
    if not kind:
        load = EVAGANVocoder.untrained if untrained else EVAGANVocoder.load
        return load(path, config, device, dtype, engine=engine, threads=threads)
    choose_engine(spec, config, engine, str(device), str(dtype).removeprefix("torch."), threads, third_party=True)
    if threads:
        torch.set_num_threads(threads)
    return open_third_party(f"{kind}:{path}", config, device, dtype)


def open_third_party(
    spec: str,
    config: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: Dtype = torch.float32,
) -> Vocoder:
    """Open another project's vocoder.

    Args:
        spec: ``bigvgan:PATH`` or ``vocos:PATH``; PATH is the weights, or a directory with them under their published
            name (``bigvgan_generator.pt``, ``pytorch_model.bin``).
        config: Its config, where it does not lie beside the weights (``config.json``, ``config.yaml``).
        device: Where to compute.
        dtype: Floating-point type to compute in.

    Raises:
        UsageError: If the kind is unknown or there is no such file.
        EvaganError: If the package is not installed, or weights and config do not fit.
    """
    kind, _, path = spec.partition(":")
    if kind not in BUILDERS or not path:
        raise UsageError(f"'{spec}' is not KIND:PATH with a known kind: {nearest(kind, BUILDERS)}")
    weights, config = third_party_files(kind, path, config)
    settings = read_settings(config)
    try:
        mel, model = BUILDERS[kind](settings)
    except ConfigError as error:
        raise error.within(config) from None
    except (AttributeError, KeyError, NotImplementedError, TypeError, ValueError) as error:
        raise ConfigError(f"{config}: {kind} cannot be built: {' '.join(str(error).split())}") from error
    fill(model, folded(read_weights(weights)), weights)
    generator = VocosGenerator(model.backbone, model.head) if kind == "vocos" else model
    return Vocoder(mel, generator, device, dtype)


def _build_bigvgan(settings: Mapping[str, Any]) -> tuple[MelConfig, nn.Module]:
    bigvgan = require("bigvgan", "bigvgan")
    mel = MelConfig(**hifigan.mel_settings(settings))
    factor = math.prod(take(settings, "upsample_rates", "config"))
    if factor != mel.hop_length:
        raise ConfigError(
            f"upsample_rates give {factor} samples per frame, hop_size is {mel.hop_length}", "config.upsample_rates"
        )
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):  # it prints, and uses the old weight_norm
        warnings.simplefilter("ignore", FutureWarning)
        model = bigvgan.BigVGAN(bigvgan.AttrDict(settings))
        model.remove_weight_norm()
    return mel, model


def _build_vocos(settings: Mapping[str, Any]) -> tuple[MelConfig, nn.Module]:
    vocos = require("vocos.pretrained", VOCOS_EXTRA)
    parts = {}
    for name, only in VOCOS_CLASSES.items():
        part = take(settings, name, "config")
        if take(part, "class_path", name) != only:
            raise ConfigError(
                f"{name}.class_path is {part['class_path']!r}: only {only!r} can be opened", f"{name}.class_path"
            )
        parts[name] = vocos.instantiate_class((), part)
    audio = {"sample_rate": 24000, "n_fft": 1024, "hop_length": 256, "n_mels": 100, "padding": "center"}
    audio |= settings["feature_extractor"].get("init_args", {})
    mel = MelConfig(
        sample_rate=audio["sample_rate"],
        n_fft=audio["n_fft"],
        hop_length=audio["hop_length"],
        win_length=audio["n_fft"],
        n_mels=audio["n_mels"],
        center=audio["padding"] == "center",
        scale="htk",
        filter_norm="none",
        power_add=0.0,
        floor=1e-7,
    )
    return mel, vocos.Vocos(**parts)


BUILDERS: dict[str, Callable[[Mapping[str, Any]], tuple[MelConfig, nn.Module]]] = {
    "bigvgan": _build_bigvgan,
    "vocos": _build_vocos,
}
"""By kind: what builds mel and model from a config."""
