"""What a user calls a vocoder: MODEL, ``bigvgan:PATH`` or ``vocos:PATH``; parsed and found without torch."""

from pathlib import Path

from evagan_plugin.checkpoint.files import weights_file
from evagan_plugin.errors import UsageError, nearest

EXTERNAL_FILES = {
    "bigvgan": ("bigvgan_generator.pt", "config.json"),
    "vocos": ("pytorch_model.bin", "config.yaml"),
}
"""By kind of another project's vocoder: the published names of its weights and of its config."""


def split_spec(spec: str | Path) -> tuple[str, str]:
    """Return kind (a key of :data:`EXTERNAL_FILES`, empty if it opens as ours) and path.

    Raises:
        UsageError: If it looks like ``KIND:PATH`` and is neither that nor a path.
    """
    kind, colon, path = str(spec).partition(":")
    if colon and path and kind in EXTERNAL_FILES:
        return kind, path
    if colon and not Path(spec).exists():
        raise UsageError(
            f"'{spec}' is no path, and not KIND:PATH with a known kind either: {nearest(kind, EXTERNAL_FILES)}"
        )
    return "", str(spec)


def external_files(kind: str, path: str | Path, config: str | Path | None = None) -> tuple[Path, Path]:
    """Return weights and config of another project's vocoder.

    Raises:
        UsageError: If one is not there.
    """
    weights_name, config_name = EXTERNAL_FILES[kind]
    weights = Path(path) / weights_name if Path(path).is_dir() else Path(path)
    config = weights.with_name(config_name) if config is None else Path(config)
    for file in (weights, config):
        if not file.is_file():
            raise UsageError(f"{kind}: there is no file {file}")
    return weights, config


def check_vocoder(spec: str | Path, config: str | Path | None = None) -> None:
    """Check that the files of a vocoder are there, before anything slow is imported (raises :class:`UsageError`)."""
    kind, path = split_spec(spec)
    if kind:
        external_files(kind, path, config)
        return
    weights_file(path)
    if config is not None and not Path(config).is_file():
        raise UsageError(f"there is no config {config}")
