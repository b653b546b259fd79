"""From our checkpoints to ESPnet's: a ``.pth`` and a ``config.yaml`` that the vocoder task starts from."""

import logging
from pathlib import Path

import torch
import yaml

from evagan_plugin.checkpoint.convert import open_checkpoint
from evagan_plugin.checkpoint.discriminators import TrainedDiscriminators, trained_discriminators
from evagan_plugin.checkpoint.files import could_be_a_name
from evagan_plugin.checkpoint.start import training_start
from evagan_plugin.config import DiscriminatorsConfig, VocoderConfig, config_to_dict
from evagan_plugin.errors import EvaganError
from evagan_plugin.model.generator import EVAGANGenerator
from evagan_plugin.model.vocos import VocosGenerator
from evagan_plugin.utils.files import atomic_path, write_text

logger = logging.getLogger(__name__)

WEIGHTS = "model.pth"
CONFIG = "config.yaml"


def export_espnet(
    config: VocoderConfig,
    generator: EVAGANGenerator | VocosGenerator,
    out_dir: str | Path,
    discriminators: TrainedDiscriminators | None = None,
) -> None:
    """Write ``model.pth`` and ``config.yaml``, each whole or not at all.

    ``vocoder_train --config OUT/config.yaml --init_param OUT/model.pth`` trains on from them.

    Args:
        config: The whole vocoder.
        generator: Its generator, with weight norm or without.
        out_dir: Where to.
        discriminators: Those that were trained with it; without them training starts its own anew.
    """
    with atomic_path(Path(out_dir) / WEIGHTS) as temporary, temporary.open("wb") as file:
        torch.save(training_start(config, generator, discriminators), file)
    settings = {"vocoder": "vocos" if config.vocos else "eva_gan", "vocoder_conf": config_to_dict(config)}
    write_text(Path(out_dir) / CONFIG, yaml.safe_dump(settings, sort_keys=False))


def espnet_init_param(option: str, out_dir: str | Path, wanted: DiscriminatorsConfig) -> str:
    """Return an ``--init_param`` that ESPnet can load.

    Args:
        option: ``MODEL`` or ``MODEL:source:target:excluded``, as ESPnet has it. A checkpoint of ours (directory,
            ``.safetensors`` file, or the name of a model that comes with the package) is written out for ESPnet.
        out_dir: Where to.
        wanted: The discriminators of the training; those of the checkpoint are left out where they are others.

    Raises:
        EvaganError: If a checkpoint of ours cannot be opened.
    """
    model, colon, keys = option.partition(":")
    path = Path(model)
    theirs = not could_be_a_name(path) if not path.exists() else path.is_file() and path.suffix != ".safetensors"
    if theirs:
        return option
    try:
        config, generator = open_checkpoint(path)
        discriminators = trained_discriminators(path, config)
        if discriminators and config.discriminators != wanted:
            logger.warning("%s: its discriminators are of another config than the training's", model)
            discriminators = None
        export_espnet(config, generator, out_dir, discriminators)
    except EvaganError as error:
        raise type(error)(f"--init_param: {error}") from None
    return f"{Path(out_dir) / WEIGHTS}{colon}{keys}"
