"""``evagan info``: what a preset, config or exported file is and costs."""

from pathlib import Path
from typing import Annotated

import typer


def info(
    name: Annotated[
        str,
        typer.Argument(
            help="Preset, path of a config (.yaml, .json; of a vocoder or its training) or of an exported .onnx. Omit "
            "to list the presets."
        ),
    ] = "",
    acoustic: Annotated[
        Path | None,
        typer.Option(
            help="ONNX acoustic model that an exported vocoder is to speak for: status 1 where its metadata (sample "
            "rate, bands, ...) does not fit."
        ),
    ] = None,
) -> None:
    """Print parameters, GFLOPs per second of audio, receptive field and frames of lookahead; of a preset or of all.

    Presets whose weights come with the package are marked: commands take their name in the place of a checkpoint. Of an
    exported .onnx the mel that it takes and the source of its weights are printed, too.
    """
    from evagan_plugin.checkpoint.files import list_pretrained, load_config_of
    from evagan_plugin.config import config_to_dict, list_presets, load_preset
    from evagan_plugin.errors import UsageError
    from evagan_plugin.evaluation.cost import inspect_generator
    from evagan_plugin.inference.exported import is_onnx, read_facts

    exported = read_facts(name) if is_onnx(name) else None
    if acoustic and not exported:
        raise UsageError(f"--acoustic compares an exported vocoder (.onnx) with an acoustic model, not '{name}'")
    if acoustic and not acoustic.is_file():
        raise UsageError(f"there is no file {acoustic}")
    if exported:
        configs = {name: exported.config}
    else:
        configs = {
            entry: load_config_of(entry, entry) if entry.endswith((".yaml", ".yml", ".json")) else load_preset(entry)
            for entry in ([name] if name else list_presets())
        }
    typer.echo(
        f"{'preset':24}{'rate':>7}{'hop':>6}{'mels':>6}{'parameters':>14}{'in CAM':>13}{'GFLOPs/s':>10}"
        f"{'receptive field':>24}{'lookahead':>11}{'weights':>9}"
    )
    for entry, config in configs.items():
        facts = inspect_generator(config)
        weights = "yes" if exported or entry in list_pretrained() else ""
        field = f"{facts.receptive_field_frames} frames, {facts.receptive_field_seconds:.2f} s"
        typer.echo(
            f"{entry:24}{config.mel.sample_rate:>7}{config.mel.hop_length:>6}{config.mel.n_mels:>6}"
            f"{facts.parameters:>14,}{facts.context_parameters:>13,}{facts.gflops_per_second:>10.1f}{field:>24}"
            f"{facts.lookahead_frames:>11}{weights:>9}".rstrip()
        )
    if exported:
        typer.echo("mel: " + ", ".join(f"{key} {value}" for key, value in config_to_dict(exported.config.mel).items()))
        typer.echo(
            f"weights: {exported.source or 'not stated'} (SHA-256 {exported.weights_sha256 or 'not stated'}), "
            f"exported by evagan-plugin {exported.version}"
        )
    if acoustic:
        from evagan_plugin.inference.acoustic import check_acoustic

        fit = check_acoustic(name, acoustic)
        agreed = ", ".join(f"{field} {value:g}" for field, value in fit.agreed.items())
        unstated = f"; it does not state {', '.join(fit.unstated)}" if fit.unstated else ""
        typer.echo(f"{acoustic} fits in {agreed}{unstated}")
