"""Check that an acoustic model's features can be turned into the mels of a vocoder, before hours of training.

::

    python -m evagan_plugin.espnet.bin.check_mel conf/train_tacotron2.yaml exp/voc/valid.mel.best.pth
"""

from pathlib import Path
from typing import Annotated

import typer

from evagan_plugin.errors import one_line_errors

PROGRAM = "check_mel"


def check(
    acoustic_config: Annotated[Path, typer.Argument(help="Config of the acoustic model.")],
    vocoder: Annotated[Path, typer.Argument(help="Checkpoint of the vocoder, or its training config (.yaml).")],
) -> None:
    """Compare the features of an acoustic model with the mels of a vocoder; status 2 if they do not fit."""
    from evagan_plugin.espnet.tts.generated_mels import check_features

    check_features(acoustic_config, vocoder)


def main() -> None:
    """Run the command."""
    with one_line_errors(PROGRAM):
        typer.run(check)


if __name__ == "__main__":
    main()
