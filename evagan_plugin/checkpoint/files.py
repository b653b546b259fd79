"""Which files a model is: a checkpoint of the user's, or one that comes with the package by name. Needs no torch."""

from pathlib import Path

from evagan_plugin.checkpoint.formats.catalogue import config_format, our_config
from evagan_plugin.config import VocoderConfig, list_presets, read_settings
from evagan_plugin.errors import ConfigError, UsageError, nearest

WEIGHTS = "model.safetensors"
CONFIG = "config.yaml"
DISCRIMINATORS = "discriminators.safetensors"
"""Of a model that fine-tuning starts from with both networks."""
CONFIG_FILES = ("config.json", "config.yml", CONFIG)
"""Names of configs beside weights, the first that is there counts; beside a ``.safetensors`` file ours comes first."""

PRETRAINED = Path(__file__).resolve().parents[1] / "pretrained"
"""Models that come with the package, each a directory of ours with a model card."""


def list_pretrained() -> list[str]:
    """Return the names of the models that come with the package, sorted."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{WEIGHTS}"))


def locate(model: str | Path) -> Path:
    """Return where a model is: a path that exists, or else the directory of the pretrained model of that name.

    Raises:
        UsageError: If it is neither; of what could be a name, with those that there are.
    """
    path, name = Path(model), str(model)
    if path.exists():
        return path
    if name in list_pretrained():
        return PRETRAINED / name
    if not could_be_a_name(name) or not list_pretrained():
        raise UsageError(f"there is no checkpoint {path}")
    if name in list_presets():
        raise UsageError(f"preset {name} has no weights yet; pretrained: {', '.join(list_pretrained())}")
    raise UsageError(
        f"there is no checkpoint {path}, and no pretrained model of that name: {nearest(name, list_pretrained())}"
    )


def could_be_a_name(model: str | Path) -> bool:
    """Whether what a user calls a model is written as a name and not as a path."""
    return Path(model).name == str(model) and not Path(model).suffix


def weights_file(path: str | Path) -> Path:
    """Return the weights that a user names: a file, the one of ours in a directory, or those of a pretrained model.

    Raises:
        UsageError: If there are none; of a directory, with the training checkpoints in it.
    """
    path = locate(path)
    if path.is_dir():
        if not (path / WEIGHTS).is_file():
            # Those of single epochs last; none that is being written.
            found = (entry for entry in path.glob("*.pth") if not entry.name.startswith("."))
            others = sorted(found, key=lambda entry: (entry.name[0].isdigit(), entry.name))
            names = ", ".join(entry.name for entry in others[:8])
            hint = f"one of its training checkpoints ({names})" if others else "a weights file"
            raise UsageError(f"{path} has no {WEIGHTS}: give a checkpoint directory or {hint}")
        return path / WEIGHTS
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
