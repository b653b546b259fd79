"""MODEL as a user names it: a checkpoint or a name, ``bigvgan:PATH``, ``vocos:PATH``; without torch."""

from pathlib import Path

from evagan_plugin.checkpoint.files import weights_file
from evagan_plugin.errors import UsageError, nearest
from evagan_plugin.inference.engine import choose_engine

THIRD_PARTY_FILES = {
    "bigvgan": ("bigvgan_generator.pt", "config.json"),
    "vocos": ("pytorch_model.bin", "config.yaml"),
}
"""By kind of another project's vocoder: the published names of its weights and of its config."""


def split_model(model: str | Path) -> tuple[str, str]:
    """Return kind (a key of :data:`THIRD_PARTY_FILES`, empty if it opens as ours) and path.

    Raises:
        UsageError: If it looks like ``KIND:PATH`` and is neither that nor a path.
    """
    kind, colon, path = str(model).partition(":")
    if colon and path and kind in THIRD_PARTY_FILES:
        return kind, path
    if colon and not Path(model).exists():
        raise UsageError(
            f"'{model}' is no path, and not KIND:PATH with a known kind either: {nearest(kind, THIRD_PARTY_FILES)}"
        )
    return "", str(model)


def third_party_files(kind: str, path: str | Path, config: str | Path | None = None) -> tuple[Path, Path]:
    """Return weights and config of another project's vocoder.

    Raises:
        UsageError: If one is not there.
    """
    weights_name, config_name = THIRD_PARTY_FILES[kind]
    weights = Path(path) / weights_name if Path(path).is_dir() else Path(path)
    config = weights.with_name(config_name) if config is None else Path(config)
    for file in (weights, config):
        if not file.is_file():
            raise UsageError(f"{kind}: there is no file {file}")
    return weights, config


def check_vocoder(
    model: str | Path,
    config: str | Path | None = None,
    engine: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    threads: int | None = None,
) -> None:
    """Check that the files of a vocoder are there and its engine is, before anything slow is imported.

    Raises:
        UsageError: If a file is missing, or the engine is unknown or cannot do what is asked for.
        EvaganError: If its package is not installed.
    """
    kind, path = split_model(model)
    if kind:
        third_party_files(kind, path, config)
    else:
        weights_file(path)
        if config is not None and not Path(config).is_file():
            raise UsageError(f"there is no config {config}")
    choose_engine(model, config, engine, device, dtype, threads, third_party=bool(kind))
