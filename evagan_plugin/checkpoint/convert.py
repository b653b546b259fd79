"""The whole way from a published checkpoint to an :class:`EVAGANGenerator` and its config."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from evagan_plugin.checkpoint.formats import coqui, espnet, firefly, hifigan
from evagan_plugin.checkpoint.formats.names import prefix_before, translated
from evagan_plugin.checkpoint.native import LANDMARK, fill, folded, load_generator, read_weights
from evagan_plugin.config import GeneratorConfig, VocoderConfig, build_config, read_yaml
from evagan_plugin.errors import ConfigError, EvaganError, UsageError, nearest, some
from evagan_plugin.model.generator import EVAGANGenerator

CONFIG_FILES = ("config.json", "config.yml", "config.yaml")


class Format(NamedTuple):
    """A published architecture: how its tensors are called, and what its config says in our terms."""

    landmark: str
    """How a tensor's name ends that tells the format."""
    module_names: Callable[[GeneratorConfig], dict[str, str]]
    settings: Callable[[Mapping[str, Any]], dict[str, Any]]
    statistics: Callable[[Mapping[str, Any], Path], dict[str, Tensor]] = lambda config, folder: {}
    """Tensors that come from elsewhere than the weights: from the config, or a file in its folder."""


FORMATS = {
    "firefly": Format("head.conv_pre.bias", firefly.module_names, firefly.settings),
    "hifigan": Format("conv_pre.bias", hifigan.module_names, hifigan.settings),
    "coqui": Format("conv_pre.bias", hifigan.module_names, coqui.settings, coqui.statistics),
    "espnet": Format("input_conv.bias", espnet.module_names, espnet.settings, espnet.statistics),
}
OURS = "evagan"


def open_published(
    source: str | Path, config: str | Path | None = None, kind: str = "auto"
) -> tuple[VocoderConfig, EVAGANGenerator]:
    """Open a published checkpoint in our classes.

    The discriminators' side of the config is the HiFi-GAN preset's (Firefly-GAN: EVA-GAN's); their weights are not
    converted, since ours are others: training starts them fresh.

    Args:
        source: Weights: a pickle (loaded as weights only), ``.safetensors``, or a checkpoint directory of ours.
        config: Config of the source in its own format; the ``config.json``, ``.yml`` or ``.yaml`` beside it when None.
            Firefly-GAN takes a vocoder config of ours, and needs none for the published base model.
        kind: A key of ``FORMATS``, ``"evagan"``, or ``"auto"`` to tell from the tensors' names.

    Returns:
        tuple: Config, and generator with weight norm in evaluation mode.

    Raises:
        EvaganError: If the weights cannot be read or do not fit the config; tensors that do not are listed.
        ConfigError: If the config is missing or describes what our generator is not.
    """
    source = Path(source)
    if kind not in ("auto", OURS, *FORMATS):
        raise UsageError(f"unknown format '{kind}': {nearest(kind, ['auto', OURS, *FORMATS])}")
    if kind == OURS or source.is_dir():
        return load_generator(source, config)
    if not source.is_file():
        raise UsageError(f"there is no checkpoint {source}")
    state = read_weights(source)
    if kind == "auto":
        kind = _detect(state, source)
    if kind == OURS:
        return load_generator(source, config)
    config = Path(config) if config else _config_beside(source, kind)
    theirs = read_yaml(config) if config else {}
    if "vocoder_conf" in theirs:  # an experiment of our ESPnet task with ESPnet's own HiFi-GAN
        return load_generator(source, config)
    if kind == "hifigan" and "generator_model_params" in theirs:
        kind = "coqui"
    settings = _our_config(kind, theirs, config or source)
    translation, named = translated(state, FORMATS[kind].module_names(settings.generator))
    weights = folded(translation)
    if config:
        weights |= FORMATS[kind].statistics(theirs, config.parent)
    generator = EVAGANGenerator.from_config(settings)
    fill(generator, weights, source, named)
    return settings, generator.eval()


def _detect(state: Mapping[str, Tensor], source: Path) -> str:
    landmarks = {OURS: LANDMARK} | {name: entry.landmark for name, entry in FORMATS.items()}
    for kind, landmark in landmarks.items():
        if prefix_before(landmark, state) is not None:
            return kind
    raise EvaganError(
        f"{source} holds no generator that is known (formats: {', '.join(landmarks)}): its tensors are {some(state)}"
    )


def _config_beside(source: Path, kind: str) -> Path | None:
    if kind == "firefly":
        return None
    path = next((path for name in CONFIG_FILES if (path := source.with_name(name)).is_file()), None)
    if path is None:
        raise ConfigError(f"no {' or '.join(CONFIG_FILES)} beside {source}: give the {kind} config")
    return path


def _our_config(kind: str, theirs: Mapping[str, Any], path: Path) -> VocoderConfig:
    try:
        config = build_config(FORMATS[kind].settings(theirs))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:  # values of kinds that no config has
        raise ConfigError(f"{path}: it is no {kind} config: {' '.join(str(error).split())}") from error
    stages = zip(config.generator.upsample_rates, config.generator.kernels, strict=True)
    if kind != "espnet" and any((kernel - rate) % 2 for rate, kernel in stages):
        raise ConfigError(
            f"{path}: a kernel of an upsampling stage and its rate differ by an odd number: "
            "the source's output is not frames x hop long"
        )
    return config
