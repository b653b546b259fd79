"""Print the sample rate in Hz that a training config's model works at: ``sample_rate.py conf/train.yaml``."""

import sys

from evagan_plugin.config import build_config, read_yaml
from evagan_plugin.errors import ConfigError, one_line_errors


def main(path: str) -> None:
    """Read ``vocoder_conf`` of a training config and print the rate of its mel."""
    settings = read_yaml(path)
    try:
        config = build_config(settings.get("vocoder_conf") or {})
    except ConfigError as error:
        raise ConfigError(f"{path}: vocoder_conf: {error}") from None
    sys.stdout.write(f"{config.mel.sample_rate}\n")


if __name__ == "__main__":
    with one_line_errors("sample_rate.py"):
        main(sys.argv[1])
