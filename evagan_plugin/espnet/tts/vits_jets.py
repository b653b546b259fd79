"""EVA-GAN as the decoder of ESPnet's end-to-end models, VITS and JETS.

In a config::

    tts: eva_gan_vits                                   # or eva_gan_jets
    tts_conf:
        vocoder_params: {preset: eva_gan_mini_16k}      # the generator; its input are the model's hidden channels
        generator_params: {hidden_channels: 192}        # ESPnet's, but without the decoder's own
"""

import argparse
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from espnet2.gan_tts.jets.jets import JETS
from espnet2.gan_tts.vits.vits import VITS
from espnet2.torch_utils.safe_torch_load import safe_torch_load
from torch import Tensor, nn

from evagan_plugin.config import VocoderConfig, config_to_dict, read_settings
from evagan_plugin.errors import ConfigError
from evagan_plugin.espnet.task.failures import host_errors
from evagan_plugin.espnet.tts.joint import (
    DEFAULT_PRESET,
    DISCRIMINATOR_NAME,
    VOCODER_NAMES,
    JointGenerator,
    generator_config,
    mel_loss_params,
)
from evagan_plugin.espnet.tts.joint_model import EVAGANJointText2Wav
from evagan_plugin.espnet.tts.texts import refuse_unknown_texts

PLACEHOLDER_HIFIGAN = {
    "channels": 2,
    "kernel_size": 1,
    "upsample_scales": [1],
    "upsample_kernel_sizes": [2],
    "resblock_kernel_sizes": [1],
    "resblock_dilations": [[1]],
}
"""The HiFi-GAN that ESPnet's constructors insist on; it is thrown away."""


class EVAGANDecoder:
    """Puts EVA-GAN in the place of the HiFi-GAN inside the end-to-end model that stands behind this class.

    Args:
        idim: Number of tokens.
        odim: Dimension of the acoustic features: those that the posterior encoder of VITS takes, or those that the
            alignment of JETS learns from.
        vocoder_params: ``preset``, ``mel`` and ``generator`` of a vocoder config.
        generator_params: Options of ESPnet's generator but those of its HiFi-GAN.
        options: Further options of the model.

    Raises:
        ConfigError: If the vocoder config is wrong, or ``generator_params`` has options of the HiFi-GAN.
    """

    hifigan: str
    """Name of the HiFi-GAN in ESPnet's generator; its options begin with it."""

    def __init__(
        self,
        idim: int,
        odim: int,
        vocoder_params: dict[str, Any] | None = None,
        generator_params: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        config = generator_config(vocoder_params or {})
        generator_params = _without_decoder(generator_params or {}, f"{self.hifigan}_")
        super().__init__(
            idim=idim, odim=odim, generator_params=generator_params, **_from_preset(options, vocoder_params, config)
        )
        # VITS hands a global condition on to its decoder; JETS, without that option, adds it to its hidden states.
        condition = max(generator_params.get("global_channels", -1), 0)
        channels = getattr(self.generator, self.hifigan).input_conv.in_channels
        setattr(self.generator, self.hifigan, _decoder(config, channels, condition))
        self.generator.upsample_factor = config.generator.upsample_factor


class EVAGANVITS(EVAGANDecoder, VITS):
    """VITS with an EVA-GAN generator as its decoder; speaker and language embeddings condition it."""

    hifigan = "decoder"


class EVAGANJETS(EVAGANDecoder, JETS):
    """JETS with an EVA-GAN generator after its decoder."""

    hifigan = "generator"


TTS_CLASSES = {
    "eva_gan_joint": EVAGANJointText2Wav,
    "eva_gan_vits": EVAGANVITS,
    "eva_gan_jets": EVAGANJETS,
}
"""What ``tts:`` may name in addition to ESPnet's own."""


def load_for_inference(wrapped: Callable, instance: type, args: tuple, kwargs: Mapping[str, Any]) -> tuple:
    """Around ``TTSTask.build_model_from_file``: make EVA-GAN ready for inference, and refuse weights that do not fit.

    Raises:
        ConfigError: If the checkpoint is of another configuration. (ESPnet takes the tensors that it finds.)
    """
    return _load(wrapped, *args, **kwargs)


def _load(
    wrapped: Callable,
    config_file: Path | str | None = None,
    model_file: Path | str | None = None,
    device: str = "cpu",
) -> tuple[nn.Module, argparse.Namespace]:
    path = config_file or (Path(model_file).parent / "config.yaml" if model_file else None)
    if path is None or not Path(path).is_file() or not _is_ours(read_settings(path)):
        model, args = wrapped(config_file, model_file, device)
        model.token_list = args.token_list  # for the vocoder's hook, which sees the model only
        return model, args
    with host_errors(None):
        model, args = wrapped(config_file, model_file, device)
        if model_file is not None:
            model.load_state_dict(safe_torch_load(model_file, map_location=device))
    for module in model.modules():
        if isinstance(module, JointGenerator):
            module.remove_weight_norm()
    model.inference = functools.partial(_infer_without_graph, model.inference)
    refuse_unknown_texts(model, args.token_list)
    return model, args


def _infer_without_graph(infer: Callable, *args: Any, **kwargs: Any) -> dict[str, Any]:
    with torch.inference_mode():
        made = infer(*args, **kwargs)
    # Copies are ordinary tensors, which may be changed in place.
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in made.items()}


def _is_ours(settings: Mapping[str, Any]) -> bool:
    conf = settings.get("tts_conf") or {}
    return settings.get("tts") in TTS_CLASSES or conf.get("vocoder_type") in VOCODER_NAMES


def _without_decoder(generator_params: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return generator parameters with the smallest HiFi-GAN in the place of the decoder's options."""
    for name in generator_params:
        if name.startswith(prefix):
            raise ConfigError(
                f"tts_conf.generator_params.{name} is of ESPnet's HiFi-GAN: vocoder_params describes EVA-GAN"
            )
    return {**generator_params, **{prefix + name: value for name, value in PLACEHOLDER_HIFIGAN.items()}}


def _from_preset(
    options: Mapping[str, Any], vocoder_params: Mapping[str, Any] | None, config: VocoderConfig
) -> dict[str, Any]:
    """Return the options of the model with those that follow from the preset filled in where they are not given."""
    options = {
        "sampling_rate": config.mel.sample_rate,
        "mel_loss_params": mel_loss_params(config.mel),
        "discriminator_type": DISCRIMINATOR_NAME,
        **options,
    }
    if options["discriminator_type"] == DISCRIMINATOR_NAME:
        preset = (vocoder_params or {}).get("preset", DEFAULT_PRESET)
        options["discriminator_params"] = {"preset": preset, **options.get("discriminator_params", {})}
    return options


def _decoder(config: VocoderConfig, channels: int, condition: int) -> JointGenerator:
    """Build the generator of a config for so many hidden channels and channels of a global condition."""
    settings = config_to_dict(config)
    settings["generator"]["global_channels"] = condition
    return JointGenerator(channels, mel=settings["mel"], generator=settings["generator"])
