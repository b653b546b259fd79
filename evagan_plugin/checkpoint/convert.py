"""The whole way from any checkpoint to an :class:`EVAGANGenerator`, or a Vocos of ours, and its config."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from evagan_plugin.checkpoint.files import CONFIG, CONFIG_FILES, WEIGHTS, config_beside, locate, weights_file
from evagan_plugin.checkpoint.formats.catalogue import FORMATS, OURS, VOCOS, config_format, our_config
from evagan_plugin.checkpoint.formats.foreign import foreign_vocoder
from evagan_plugin.checkpoint.formats.names import prefixes_before, translated
from evagan_plugin.checkpoint.formats.training import LANDMARK
from evagan_plugin.checkpoint.formats.vocos import LANDMARK as VOCOS_LANDMARK
from evagan_plugin.checkpoint.native import filled_generator, load_checkpoint
from evagan_plugin.checkpoint.tensors import folded, one_generator, read_weights, statistics_in
from evagan_plugin.config import VocoderConfig, read_settings
from evagan_plugin.errors import ConfigError, EvaganError, UsageError, nearest, some
from evagan_plugin.model.generator import EVAGANGenerator
from evagan_plugin.model.vocos import VocosGenerator

logger = logging.getLogger(__name__)


def open_checkpoint(
    source: str | Path, config: str | Path | None = None, kind: str = "auto", weights: str | None = None
) -> tuple[VocoderConfig, EVAGANGenerator | VocosGenerator]:
    """Open a checkpoint of ours, of a training in a host, or a published one of another project.

    Discriminators of published checkpoints are not converted, since ours are others; for those of our own trainings see
    ``discriminators.py``. Their config is that of the HiFi-GAN preset (Firefly-GAN: of the EVA-GAN preset).

    Args:
        source: A checkpoint directory of ours, the name of a pretrained model, or weights: ``.safetensors`` or a
            pickle (loaded as weights only).
        config: Config of the source in its own format; the ``config.json``, ``.yml`` or ``.yaml`` beside it when None.
            Firefly-GAN takes a vocoder config of ours, and needs none for the published base model.
        kind: A key of ``FORMATS``, or ``"auto"`` to detect it.
        weights: Which of several weights in one file, e.g. ``"generator_ema"``, as
            :func:`~evagan_plugin.checkpoint.tensors.read_weights` takes it; where this is None and there are several,
            a line says which were taken.

    Returns:
        tuple: Config, and generator with weight norm in evaluation mode, on the CPU.

    Raises:
        EvaganError: If the weights cannot be read or do not fit the config; tensors that do not are listed.
        ConfigError: If the config is missing or describes what our generator is not.
    """
    if kind not in ("auto", *FORMATS):
        raise UsageError(f"unknown format '{kind}': {nearest(kind, ['auto', *FORMATS])}")
    source = locate(source)
    path = weights_file(source)
    if source.is_dir():
        kind = OURS
    if kind in ("auto", OURS) and config is None and weights is None and _is_native(path):
        return load_checkpoint(path.parent)
    state, given = one_generator(read_weights(path, weights), path), config is not None
    config = Path(config) if config else config_beside(path) if kind != "firefly" else None
    names = _detect(state, path, config) if kind in ("auto", OURS) else kind
    config = None if names == "firefly" and not given else config
    if config is None and names != "firefly":
        wanted = CONFIG if names == OURS else " or ".join(CONFIG_FILES)
        raise ConfigError(f"no {wanted} beside {path}: give the {names} config")
    theirs = read_settings(config) if config else {}
    whose = OURS if kind == OURS else config_format(theirs, names)
    settings = our_config(whose, theirs, config or path)
    _check_lengths(settings, names, config or path)
    translation, named = translated(state, FORMATS[names].module_names(settings.generator))
    tensors = folded(translation)
    if config:
        tensors |= FORMATS[whose].statistics(theirs, config.parent)
    generator = filled_generator(settings, tensors, path, named)
    if known := statistics_in(state):
        settings = replace(settings, mel_statistics=known)
    return settings, generator


def _is_native(path: Path) -> bool:
    """Whether a file is half of what ``save_checkpoint`` writes, and the other half lies beside it."""
    if path.name != WEIGHTS or not path.with_name(CONFIG).is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            return not {LANDMARK, VOCOS_LANDMARK}.isdisjoint(file.keys())
    except (SafetensorError, OSError):
        return True  # reading it says that it is damaged


def _detect(state: Mapping[str, Tensor], source: Path, config: Path | None) -> str:
    foreign = foreign_vocoder(state)
    if foreign and not (config and FORMATS[OURS].fields & read_settings(config).keys()):
        raise UsageError(f"{source} is of {foreign}")
    for kind, entry in FORMATS.items():
        prefixes = prefixes_before(entry.landmark, state)
        if len(prefixes) > 1:
            first, *others = (prefix.rstrip(".") or "that without a prefix" for prefix in prefixes)
            logger.warning("%s: the generator '%s' is taken; it also has %s (--weights)", source, first, some(others))
        if prefixes:
            return kind
    raise EvaganError(
        f"{source} holds no generator that is known (formats: {', '.join(FORMATS)}): its tensors are {some(state)}"
    )


def _check_lengths(config: VocoderConfig, names: str, source: Path) -> None:
    """Check that a generator whose tensors have the names of a format makes frames x hop samples there, too."""
    if names in (OURS, "espnet", VOCOS):
        return
    generator = config.own_generator
    stages = zip(generator.upsample_rates, generator.kernels, strict=True)
    if any((kernel - rate) % 2 for rate, kernel in stages):
        raise ConfigError(
            f"{source}: a kernel of an upsampling stage and its rate differ by an odd number: "
            "the source's output is not frames x hop long"
        )
