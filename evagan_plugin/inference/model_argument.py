"""MODEL and engine as a user names them: a checkpoint or a name, ``bigvgan:PATH``, ``vocos:PATH``; without torch."""

from pathlib import Path

from evagan_plugin.checkpoint.files import weights_file
from evagan_plugin.errors import UsageError, nearest, require
from evagan_plugin.inference.exported import is_onnx

THIRD_PARTY_FILES = {
    "bigvgan": ("bigvgan_generator.pt", "config.json"),
    "vocos": ("pytorch_model.bin", "config.yaml"),
}
"""By kind of another project's vocoder: the published names of its weights and of its config."""

ENGINES = ("torch", "onnxruntime")
"""What computes: PyTorch, or onnxruntime on an exported generator."""


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
    choose_engine(model, config, engine, device, dtype, threads)


def choose_engine(
    model: str | Path,
    config: str | Path | None,
    engine: str | None,
    device: str,
    dtype: str,
    threads: int | None,
) -> str:
    """Return the engine of a vocoder, one of :data:`ENGINES`: where none is named PyTorch, of ONNX files onnxruntime.

    Raises:
        UsageError: If it is unknown or cannot do what is asked for.
        EvaganError: If its package is not installed.
    """
    if engine is not None and engine not in ENGINES:
        raise UsageError(f"unknown engine '{engine}': {nearest(engine, ENGINES)}")
    if threads is not None and threads < 1:
        raise UsageError(f"threads: {threads} is not a number of threads")
    exported = is_onnx(model)
    if exported and engine == "torch":
        raise UsageError(f"engine torch cannot open {model}: name none, or the checkpoint that it was made of")
    if exported and config is not None:
        raise UsageError(f"{model} has its config inside: leave {config} out")
    engine = engine or ("onnxruntime" if exported else "torch")
    if engine == "torch":
        return engine
    if split_model(model)[0]:
        raise UsageError(f"engine onnxruntime takes vocoders of ours only, not {model}")
    if device != "cpu":
        raise UsageError(f"engine onnxruntime computes on the CPU here, not on '{device}'")
    if dtype not in ("float32", "auto"):
        raise UsageError(f"engine onnxruntime computes in float32, not in {dtype}")
    for package in ("onnx", "onnxruntime"):
        require(package, "onnx")
    return engine
