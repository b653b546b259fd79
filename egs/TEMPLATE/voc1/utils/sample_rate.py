"""Print a model's sample rate in Hz: ``sample_rate.py conf/train.yaml``, or a checkpoint in its place."""

import sys
from pathlib import Path

from evagan_plugin.config import VocoderConfig, build_config, read_settings
from evagan_plugin.errors import ConfigError, one_line_errors


def main(path: str) -> None:
    """Read the config and print the rate of its mel."""
    config = training_config(path) if Path(path).suffix == ".yaml" else config_of_checkpoint(path)
    sys.stdout.write(f"{config.mel.sample_rate}\n")


def training_config(path: str) -> VocoderConfig:
    """Return what ``vocoder_conf`` of a training config describes."""
    settings = read_settings(path)
    try:
        return build_config(settings.get("vocoder_conf") or {})
    except ConfigError as error:
        raise error.within(f"{path}: vocoder_conf") from None


def config_of_checkpoint(path: str) -> VocoderConfig:
    """Return the config that lies with a trained model."""
    from evagan_plugin.checkpoint.files import load_config_of

    return load_config_of(path)


if __name__ == "__main__":
    with one_line_errors("sample_rate.py"):
        main(sys.argv[1])
