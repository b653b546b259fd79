"""``evagan info``: what a preset or config is and costs."""

from typing import Annotated

import typer


def info(
    name: Annotated[
        str, typer.Argument(help="Preset, or path of a vocoder config (.yaml). Omit to list the presets.")
    ] = "",
) -> None:
    """Print parameters, GFLOPs per second of audio and receptive field; without a name, of every preset.

    Presets whose weights come with the package are marked: commands take their name in the place of a checkpoint.
    """
    from evagan_plugin.checkpoint.files import list_pretrained
    from evagan_plugin.config import list_presets, load_config, load_preset
    from evagan_plugin.evaluation.cost import inspect_generator

    configs = {
        entry: load_config(entry) if entry.endswith((".yaml", ".yml", ".json")) else load_preset(entry)
        for entry in ([name] if name else list_presets())
    }
    typer.echo(
        f"{'preset':24}{'rate':>7}{'hop':>6}{'mels':>6}{'parameters':>14}{'in CAM':>13}{'GFLOPs/s':>10}"
        f"{'receptive field':>24}{'weights':>9}"
    )
    for entry, config in configs.items():
        facts = inspect_generator(config)
        weights = "yes" if entry in list_pretrained() else ""
        field = f"{facts.receptive_field_frames} frames, {facts.receptive_field_seconds:.2f} s"
        typer.echo(
            f"{entry:24}{config.mel.sample_rate:>7}{config.mel.hop_length:>6}{config.mel.n_mels:>6}"
            f"{facts.parameters:>14,}{facts.context_parameters:>13,}{facts.gflops_per_second:>10.1f}{field:>24}"
            f"{weights:>9}".rstrip()
        )
