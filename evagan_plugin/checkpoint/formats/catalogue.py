"""The formats of checkpoints that can be opened, by the name that ``evagan convert --format`` takes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evagan_plugin.checkpoint.formats import coqui, espnet, firefly, hifigan, training, vocos
from evagan_plugin.config import GeneratorConfig, VocoderConfig, build_config
from evagan_plugin.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

OURS, VOCOS = "evagan", "vocos"


class Format(NamedTuple):
    """How the tensors of a format are called, and what its config says in our terms."""

    landmark: str
    """End of a tensor's name that only this format has."""
    module_names: Callable[[GeneratorConfig | None], dict[str, str]]
    settings: Callable[[Mapping[str, Any]], dict[str, Any]]
    fields: frozenset[str] = frozenset()
    """Top-level fields that only a config of this format has."""
    statistics: Callable[[Mapping[str, Any], Path], "dict[str, Tensor]"] = lambda config, folder: {}
    """Tensors that come from elsewhere than the weights: from the config, or a file in its folder."""


FORMATS = {
    OURS: Format(training.LANDMARK, training.module_names, training.settings, training.FIELDS),
    "firefly": Format("head.conv_pre.bias", firefly.module_names, firefly.settings),
    "hifigan": Format("conv_pre.bias", hifigan.module_names, hifigan.settings, frozenset({"upsample_initial_channel"})),
    "coqui": Format(
        "conv_pre.bias", hifigan.module_names, coqui.settings, frozenset({"generator_model_params"}), coqui.statistics
    ),
    "espnet": Format(
        "input_conv.bias", espnet.module_names, espnet.settings, frozenset({"generator_params"}), espnet.statistics
    ),
    VOCOS: Format(vocos.LANDMARK, vocos.module_names, vocos.settings),
}
"""Where two have one landmark, the first is taken until the config tells them apart."""


def config_format(config: Mapping[str, Any], tensors: str = OURS) -> str:
    """Return the format of a config, given that of the tensors' names.

    They differ where our task trained ESPnet's HiFi-GAN or Vocos, and between Coqui's HiFi-GAN and the authors' own.
    """
    if FORMATS[OURS].fields & config.keys():
        return OURS
    possible = [name for name in FORMATS if tensors == OURS or _same_tensors(name, tensors)]
    return next((name for name in reversed(possible) if FORMATS[name].fields & config.keys()), tensors)


def _same_tensors(one: str, other: str) -> bool:
    return FORMATS[one].module_names is FORMATS[other].module_names


def our_config(kind: str, theirs: Mapping[str, Any], path: str | Path) -> VocoderConfig:
    """Return what a config of a format says in our terms.

    Args:
        kind: A key of :data:`FORMATS`.
        theirs: The config.
        path: Where it is from, for errors.

    Raises:
        ConfigError: If it lacks a field or describes what our generator is not.
    """
    try:
        return build_config(FORMATS[kind].settings(theirs))
    except ConfigError as error:
        raise error.within(path) from None
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:  # values of kinds that no config has
        raise ConfigError(f"{path}: it is no {kind} config: {' '.join(str(error).split())}") from error
