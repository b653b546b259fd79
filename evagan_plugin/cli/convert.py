"""``evagan convert``: a published checkpoint becomes one of ours, or what a host trains on from."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Target(StrEnum):
    """What to write."""

    evagan = "evagan"
    espnet = "espnet"
    coqui = "coqui"


def convert(
    source: Annotated[Path, typer.Argument(help="Published weights, a checkpoint of ours, or a name.")],
    out_dir: Annotated[Path, typer.Argument(help="Where the checkpoint goes.")],
    config: Annotated[
        Path | None, typer.Option(help="Config of the source, where it does not lie beside the weights.")
    ] = None,
    format_: Annotated[
        str,
        typer.Option("--format", help="auto, firefly, hifigan (official), espnet (ParallelWaveGAN), coqui, evagan."),
    ] = "auto",
    weights: Annotated[
        str | None, typer.Option(help="Which of several weights in the file, e.g. generator_ema; the generator.")
    ] = None,
    to: Annotated[
        Target,
        typer.Option(
            help="evagan: checkpoint directory. espnet: config.yaml, and model.pth for --init_param of the vocoder "
            "task. coqui: config.json, and best_model.pth for inference and --restore_path."
        ),
    ] = Target.evagan,
) -> None:
    """Convert a published checkpoint, or one of ours with its discriminators.

    Where tensors do not fit, they are listed and nothing is written.
    """
    from evagan_plugin.checkpoint.files import weights_file

    weights_file(source)  # before torch is imported, which takes seconds

    from evagan_plugin.checkpoint.convert import open_checkpoint
    from evagan_plugin.checkpoint.discriminators import trained_discriminators
    from evagan_plugin.checkpoint.native import save_checkpoint
    from evagan_plugin.errors import require

    vocoder, generator = open_checkpoint(source, config, format_, weights)
    discriminators = None if weights else trained_discriminators(source, vocoder, config)
    if to is Target.coqui:
        require("TTS", "coqui")
        from evagan_plugin.coqui.export import export_coqui

        export_coqui(vocoder, generator, out_dir, discriminators)
    elif to is Target.espnet:
        from evagan_plugin.espnet.export import export_espnet

        export_espnet(vocoder, generator, out_dir, discriminators)
    else:
        save_checkpoint(out_dir, vocoder, generator)
        if discriminators:
            discriminators.save(out_dir)
    kept = (
        f"with discriminators, after {discriminators.steps} steps"
        if discriminators
        else "the generator only: training from it starts the discriminators fresh"
    )
    typer.echo(
        f"{out_dir}: {vocoder.mel.sample_rate} Hz, {vocoder.mel.n_mels} mels, hop {vocoder.mel.hop_length}; {kept}"
    )
