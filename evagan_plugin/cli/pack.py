"""``evagan pack``: a checkpoint as a directory to share, with its model card."""

from pathlib import Path
from typing import Annotated

import typer


def pack(
    model: Annotated[Path, typer.Argument(help="Checkpoint directory, .safetensors, or training checkpoint (.pth).")],
    out_dir: Annotated[Path, typer.Argument(help="Where model.safetensors, config.yaml and README.md go.")],
    config: Annotated[Path | None, typer.Option(help="Config, where it does not lie beside the checkpoint.")] = None,
    data: Annotated[str, typer.Option(help="What it was trained on, for the card.")] = "",
    license_: Annotated[str, typer.Option("--license", help="Licence of the weights, e.g. mit or cc-by-4.0.")] = "",
    scores: Annotated[Path | None, typer.Option(help="scores.json of `evagan score --out`, for the card.")] = None,
    system: Annotated[str, typer.Option(help="Which system of the scores it is, where there are several.")] = "",
    test_data: Annotated[str, typer.Option(help="What the scores were measured on, for the card.")] = "",
) -> None:
    """Write a checkpoint for others, with a model card; a README.md that is there already stays as it is.

    EVAGANVocoder.from_pretrained opens it, here or from the Hugging Face Hub.
    """
    from evagan_plugin.checkpoint.hub import ModelFacts, read_scores
    from evagan_plugin.errors import EvaganError
    from evagan_plugin.inference.vocoder import EVAGANVocoder

    metrics = read_scores(scores, system) if scores else {}
    facts = ModelFacts(data=data, license=license_, metrics=metrics, test_data=test_data)
    vocoder = EVAGANVocoder.load(model, config)
    try:
        vocoder.save_pretrained(out_dir, model_card_kwargs={"facts": facts})
    except OSError as error:
        raise EvaganError(f"cannot write {out_dir}: {error.strerror or error}") from error
    typer.echo(f"{out_dir}: model.safetensors, config.yaml, README.md")
