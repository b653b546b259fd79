"""Train a vocoder with ESPnet's trainer.

::

    python -m evagan_plugin.espnet.bin.vocoder_train --config conf/train.yaml --output_dir exp/voc \\
        --train_data_path_and_name_and_type dump/train/wav.scp,wav,sound \\
        --valid_data_path_and_name_and_type dump/dev/wav.scp,wav,sound
"""

from collections.abc import Sequence

from evagan_plugin.espnet.task.task import VocoderTask


def get_parser():
    """Return ESPnet's parser with the options of the vocoder task."""
    return VocoderTask.get_parser()


def main(cmd: Sequence[str] | None = None) -> None:
    """Parse the command line (``sys.argv`` if ``cmd`` is None) and train."""
    VocoderTask.main(cmd=cmd)


if __name__ == "__main__":
    main()
