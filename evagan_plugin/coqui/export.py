"""From our checkpoints to Coqui's: a ``.pth`` and a ``config.json`` that its programs take."""

import dataclasses
import json
from pathlib import Path

import torch

from evagan_plugin.checkpoint.discriminators import TrainedDiscriminators
from evagan_plugin.checkpoint.start import training_start
from evagan_plugin.config import VocoderConfig, config_to_dict
from evagan_plugin.coqui.config import EvaGanConfig, vocoder_config
from evagan_plugin.coqui.mel import audio_config
from evagan_plugin.coqui.progress import Progress
from evagan_plugin.model.generator import EVAGANGenerator
from evagan_plugin.utils.files import atomic_path, write_text

WEIGHTS = "best_model.pth"
CONFIG = "config.json"


def export_coqui(
    config: VocoderConfig,
    generator: EVAGANGenerator,
    out_dir: str | Path,
    discriminators: TrainedDiscriminators | None = None,
) -> None:
    """Write ``best_model.pth`` and ``config.json``, each whole or not at all, for inference and ``--restore_path``.

    Args:
        config: The whole vocoder.
        generator: Its generator, with weight norm or without.
        out_dir: Where to.
        discriminators: Those that were trained with it; without them training starts its own anew.

    Raises:
        MelMismatchError: If the vocoder's mel is none that an acoustic model of Coqui can give (frames that are not
            centred); it lists the fields.
    """
    settings = EvaGanConfig(audio=audio_config(config.mel), vocoder_conf=config_to_dict(config))
    vocoder_config(settings)
    weights = training_start(config, generator, discriminators)
    if discriminators:  # a whole training in Coqui's eyes, which has a progress
        weights["_extra_state"] = torch.tensor(dataclasses.astuple(Progress()))
    content = {"config": settings.to_dict(), "model": weights, "optimizer": None, "step": 0, "epoch": 0}
    with atomic_path(Path(out_dir) / WEIGHTS) as temporary, temporary.open("wb") as file:
        torch.save(content, file)
    write_text(Path(out_dir) / CONFIG, json.dumps(settings.to_dict(), indent=4))
