"""``evagan synth``: copy synthesis of audio, and waveforms from mels."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Dtype(StrEnum):
    """Floating-point types to compute in."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float64 = "float64"


def synth(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL SOURCE OUT_DIR",
            help="MODEL: checkpoint directory, .safetensors, or training checkpoint (.pth); left out with --vocoder. "
            "SOURCE: audio or mel file (.npy, .pt: (n_mels, frames)), directory, wav.scp or feats.scp. "
            "OUT_DIR: where UTT_ID.wav and wav.scp go.",
        ),
    ],
    vocoder: Annotated[
        str, typer.Option(metavar="KIND:PATH", help="Another project's vocoder: bigvgan:PATH or vocos:PATH.")
    ] = "",
    config: Annotated[Path | None, typer.Option(help="Config, where it does not lie beside the checkpoint.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    dtype: Annotated[Dtype, typer.Option(help="Type to compute in.")] = Dtype.float32,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Use the model's config with random weights: a floor to compare with.")
    ] = False,
) -> None:
    """Synthesise waveforms; audio that goes in comes out exactly as long as it was."""
    import torch

    from evagan_plugin.errors import EvaganError, UsageError
    from evagan_plugin.inference.batch import find_items, synthesize_all
    from evagan_plugin.inference.external import open_external
    from evagan_plugin.inference.vocoder import EVAGANVocoder

    try:
        model, source, out_dir = [vocoder, *paths] if vocoder else paths
    except ValueError:
        wanted = "SOURCE OUT_DIR" if vocoder else "MODEL SOURCE OUT_DIR"
        raise UsageError(f"{wanted} expected, not {' '.join(paths)} (see evagan synth --help)") from None
    if vocoder and untrained:
        raise UsageError("--untrained is for vocoders of ours, not for --vocoder")
    items = find_items(source)
    load = open_external if vocoder else EVAGANVocoder.untrained if untrained else EVAGANVocoder.load
    failed = synthesize_all(load(model, config, device=device, dtype=getattr(torch, dtype.value)), items, out_dir)
    typer.echo(f"{len(items) - len(failed)} of {len(items)} utterances written to {out_dir}")
    if failed:
        listed = "; ".join(f"{utt_id}: {reason}" for utt_id, reason in failed.items())
        raise EvaganError(f"{len(failed)} of {len(items)} utterances failed: {listed}")
