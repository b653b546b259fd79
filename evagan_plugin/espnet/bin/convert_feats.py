"""Turn an acoustic model's features into log-mels that a vocoder can be fine-tuned on.

::

    python -m evagan_plugin.espnet.bin.convert_feats exp/tts/config.yaml exp/voc/valid.mel.best.pth \\
        exp/tts/teacher_forced/train/denorm/feats.scp dump/train/wav.scp exp/tts/mels/train
"""

from pathlib import Path
from typing import Annotated

import typer

from evagan_plugin.errors import one_line_errors

PROGRAM = "convert_feats"


def convert(
    acoustic_config: Annotated[Path, typer.Argument(help="config.yaml of the acoustic model.")],
    vocoder: Annotated[Path, typer.Argument(help="Checkpoint of the vocoder.")],
    feats_scp: Annotated[Path, typer.Argument(help="De-normalised features (frames, n_mels), .npy.")],
    wav_scp: Annotated[Path, typer.Argument(help="The recordings.")],
    out_dir: Annotated[Path, typer.Argument(help="Where feats.scp and wav.scp go.")],
) -> None:
    """Convert features to the vocoder's mel and align them with the recordings."""
    from evagan_plugin.espnet.tts.generated_mels import convert_features

    count = convert_features(acoustic_config, vocoder, feats_scp, wav_scp, out_dir)
    typer.echo(f"{count} utterances written to {out_dir}")


def main() -> None:
    """Run the command."""
    with one_line_errors(PROGRAM):
        typer.run(convert)


if __name__ == "__main__":
    main()
