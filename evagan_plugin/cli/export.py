"""``evagan export``: a checkpoint becomes one file for onnxruntime, sherpa-onnx or ``torch.export.load``."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A checkpoint, as `evagan synth` takes it, or a name (see `evagan info`)."
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file: NAME.onnx or NAME.pt2.")],
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", help="onnx (onnxruntime, sherpa-onnx) or pt2 (torch.export); by OUT's suffix if left out."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Config, where it does not lie beside the checkpoint.")] = None,
) -> None:
    """Export a model, open the file again and compare it with PyTorch; a file that differs is not left.

    `evagan synth NAME.onnx ...`, ESPnet's --vocoder_file, Coqui's --vocoder_path and sherpa-onnx open what is written.
    """
    from evagan_plugin.inference.exported import export_format
    from evagan_plugin.inference.model_argument import check_vocoder

    kind = export_format(out, format_)
    check_vocoder(model, config, "onnxruntime" if kind == "onnx" else None)

    from evagan_plugin.checkpoint.convert import open_checkpoint
    from evagan_plugin.inference.export import COMPARED, export

    settings, generator = open_checkpoint(model, config)
    difference = export(settings, generator, out, kind, model)
    frames = ", ".join(str(count) for _, count in COMPARED)
    typer.echo(f"{out}: {difference:.1g} at most from PyTorch, at {frames} frames")
