"""The engine that computes a vocoder, chosen before anything slow is imported: PyTorch, or onnxruntime."""

from pathlib import Path

from evagan_plugin.errors import UsageError, nearest, require
from evagan_plugin.inference.exported import is_onnx

ENGINES = ("torch", "onnxruntime")
"""What computes: PyTorch, or onnxruntime on an exported generator."""


def choose_engine(
    model: str | Path,
    config: str | Path | None,
    engine: str | None,
    device: str,
    dtype: str,
    threads: int | None,
    third_party: bool = False,
) -> str:
    """Return the engine of a vocoder, one of :data:`ENGINES`: where none is named PyTorch, of ONNX files onnxruntime.

    ``third_party``: whether it is another project's vocoder.

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
    if third_party:
        raise UsageError(f"engine onnxruntime takes vocoders of ours only, not {model}")
    if device != "cpu":
        raise UsageError(f"engine onnxruntime computes on the CPU here, not on '{device}'")
    if dtype not in ("float32", "auto"):
        raise UsageError(f"engine onnxruntime computes in float32, not in {dtype}")
    for package in ("onnx", "onnxruntime"):
        require(package, "onnx")
    return engine
