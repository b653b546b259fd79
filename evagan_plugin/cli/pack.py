"""``evagan pack``: a checkpoint as a directory to share, with its model card."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Precision(StrEnum):
    """Floating-point type of stored weights."""

    float32 = "float32"
    float16 = "float16"


def pack(
    model: Annotated[
        Path, typer.Argument(help="Checkpoint directory, .safetensors, training checkpoint (.pth), or name.")
    ],
    out_dir: Annotated[Path, typer.Argument(help="Where model.safetensors, config.yaml and README.md go.")],
    config: Annotated[Path | None, typer.Option(help="Config, where it does not lie beside the checkpoint.")] = None,
    data: Annotated[str, typer.Option(help="What it was trained on, for the card.")] = "",
    training: Annotated[str, typer.Option(help="How it was trained (steps, hours, machine), for the card.")] = "",
    license_: Annotated[str, typer.Option("--license", help="Licence of the weights, e.g. mit or cc-by-4.0.")] = "",
    scores: Annotated[Path | None, typer.Option(help="scores.json of `evagan score --out`, for the card.")] = None,
    system: Annotated[str, typer.Option(help="Which system of the scores it is, where there are several.")] = "",
    test_data: Annotated[str, typer.Option(help="What the scores were measured on, for the card.")] = "",
    discriminators: Annotated[
        bool,
        typer.Option("--discriminators", help="Write them, too, for fine-tuning that starts with both networks."),
    ] = False,
    dtype: Annotated[Precision, typer.Option(help="Of the weights; float16 halves the files.")] = Precision.float32,
) -> None:
    """Write a checkpoint for others, with a model card; a README.md that is there already stays as it is.

    EVAGANVocoder.from_pretrained opens it, here or from the Hugging Face Hub.
    """
    from evagan_plugin.checkpoint.files import weights_file

    weights_file(model)  # before torch is imported, which takes seconds

    import torch

    from evagan_plugin.checkpoint.discriminators import FILE, trained_discriminators
    from evagan_plugin.checkpoint.hub import ModelFacts
    from evagan_plugin.errors import EvaganError, UsageError
    from evagan_plugin.inference.eva_gan import EVAGANVocoder
    from evagan_plugin.utils.files import write_text

    metrics = _figures(scores, system) if scores else {}
    facts = ModelFacts(data=data, training=training, license=license_, metrics=metrics, test_data=test_data)
    vocoder = EVAGANVocoder.load(model, config, engine="torch")
    trained = trained_discriminators(model, vocoder.config, config) if discriminators else None
    if discriminators and trained is None:
        raise UsageError(f"{model} has no trained discriminators: leave out --discriminators")
    stored, card = getattr(torch, dtype), out_dir / "README.md"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        vocoder.save(out_dir, stored)
        if trained:
            trained.save(out_dir, stored)
        if not card.exists():
            write_text(card, vocoder.generate_model_card(facts).content)
    except OSError as error:
        raise EvaganError(f"cannot write {out_dir}: {error.strerror or error}") from error
    typer.echo(f"{out_dir}: model.safetensors, {f'{FILE}, ' if trained else ''}config.yaml, README.md")


def _figures(path: Path, system: str) -> dict[str, float]:
    """Return the corpus figures of a system by metric; its name may be left out where the scores have one system."""
    from evagan_plugin.errors import UsageError, nearest
    from evagan_plugin.evaluation.scores import load_figures

    figures = load_figures(path)
    if not system and len(figures) == 1:
        [system] = figures
    if system not in figures:
        raise UsageError(f"{path}: which system is the model? {nearest(system, figures)}")
    return {name: round(value, 4) for name, value in figures[system].items() if not math.isnan(value)}
