"""Which files a checkpoint is: its weights, and the config beside them. Needs no torch."""

from pathlib import Path

from evagan_plugin.checkpoint.formats.catalogue import config_format, our_config
from evagan_plugin.config import VocoderConfig, read_settings
from evagan_plugin.errors import ConfigError, UsageError

WEIGHTS = "model.safetensors"
CONFIG = "config.yaml"
CONFIG_FILES = ("config.json", "config.yml", CONFIG)
"""Names of configs beside weights, the first that is there counts; beside a ``.safetensors`` file ours comes first."""


def weights_file(path: str | Path) -> Path:
    """Return the weights that a user names: a file, or the one of ours in a directory.

    Raises:
        UsageError: If there are none; of a directory, with the training checkpoints in it.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / WEIGHTS).is_file():
            # Those of single epochs last; none that is being written.
            found = (entry for entry in path.glob("*.pth") if not entry.name.startswith("."))
            others = sorted(found, key=lambda entry: (entry.name[0].isdigit(), entry.name))
            names = ", ".join(entry.name for entry in others[:8])
            hint = f"one of its training checkpoints ({names})" if others else "a weights file"
            raise UsageError(f"{path} has no {WEIGHTS}: give a checkpoint directory or {hint}")
        return path / WEIGHTS
    if not path.is_file():
        raise UsageError(f"there is no checkpoint {path}")
    return path


def config_beside(weights: Path) -> Path | None:
    """Return the config in the directory of a weights file, None if it has none."""
    names = (CONFIG, *CONFIG_FILES) if weights.suffix == ".safetensors" else CONFIG_FILES
    return next((path for name in names if (path := weights.with_name(name)).is_file()), None)


def load_config_of(weights: str | Path, config: str | Path | None = None) -> VocoderConfig:
    """Read the vocoder config of a checkpoint, in our terms whatever its format.

    Args:
        weights: The checkpoint.
        config: The config file; the one beside the weights when None.

    Raises:
        UsageError: If there is no such checkpoint.
        ConfigError: If the config is missing or wrong.
    """
    if config is None:
        path = weights_file(weights)
        config = config_beside(path)
        if config is None:
            raise ConfigError(f"no {CONFIG} beside {path}: give the config file")
    theirs = read_settings(config)
    return our_config(config_format(theirs), theirs, config)
