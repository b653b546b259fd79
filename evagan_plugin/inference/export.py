"""Export: a generator becomes one file for onnxruntime, sherpa-onnx or ``torch.export.load``, compared after writing.

ONNX goes through PyTorch's TorchScript exporter. The newer one writes the same operations, takes many times as long and
needs one more package (onnxscript). PyTorch calls the old one deprecated; this package pins PyTorch's version.
"""

import hashlib
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from evagan_plugin.checkpoint.files import locate, weights_file
from evagan_plugin.config import VocoderConfig
from evagan_plugin.errors import EvaganError, UsageError, library_errors, require
from evagan_plugin.inference.exported import export_format, metadata_of
from evagan_plugin.inference.onnx_engine import OnnxGenerator
from evagan_plugin.inference.onnx_graph import widen_convolutions
from evagan_plugin.inference.probe import typical_mel
from evagan_plugin.model.generator import EVAGANGenerator
from evagan_plugin.utils.files import atomic_path

OPSET = 17
"""Of the exported file: the first with LayerNormalization, and old enough for the runtimes that others build in."""
COMPARED = ((1, 1), (2, 7), (1, 300))
"""Items and frames of the mels that a written file is compared with PyTorch on."""
TOLERANCE = 1e-5
"""Largest difference of a sample, in [-1, 1], that a written file may have."""


def export(
    config: VocoderConfig, generator: EVAGANGenerator, path: str | Path, kind: str | None = None, source: str = ""
) -> float:
    """Write a generator as one file, which is opened again and compared with PyTorch.

    Its input is ``mel`` (B, n_mels, F) and, of a generator with ``global_channels``, ``condition``
    (B, global_channels, 1); its output ``wav`` (B, 1, F * hop). B and F are free.

    Args:
        config: The whole vocoder; it is written into the file.
        generator: Its generator; weight norm is folded in, in place.
        path: The file.
        kind: ``"onnx"`` or ``"pt2"``; by the suffix of the file when None.
        source: What its weights were opened from, as a user calls it.

    Returns:
        float: The largest difference from PyTorch that any sample had.

    Raises:
        EvaganError: If the file cannot be written or differs by more than :data:`TOLERANCE`; nothing is left.
    """
    from evagan_plugin import __version__  # slow to look up, and seldom asked for

    kind = export_format(path, kind)
    generator = exportable(generator).remove_weight_norm().float().cpu().eval()
    metadata = metadata_of(config, __version__, *_weights_of(source))
    with atomic_path(path) as temporary:
        if kind == "onnx":
            temporary.write_bytes(onnx_model(generator, metadata))
            written: Callable[..., Tensor] = OnnxGenerator(temporary)
        else:
            written = _write_pt2(generator, metadata, temporary)
        difference = _difference(written, generator, config)
        if not difference <= TOLERANCE:
            raise EvaganError(
                f"{path} is not written: its waveforms would differ from PyTorch's by {difference:.1g}, which is more "
                f"than {TOLERANCE:g}"
            )
    return difference


def exportable(generator: nn.Module) -> EVAGANGenerator:
    """Return a generator that can be exported (raises :class:`UsageError` for another one's)."""
    if not isinstance(generator, EVAGANGenerator):
        raise UsageError("Vocos cannot be exported: its inverse Fourier transform is of complex numbers")
    return generator


def onnx_model(generator: EVAGANGenerator, metadata: dict[str, str] | None = None, conditioned: bool = True) -> bytes:
    """Return a generator as the content of an ONNX file.

    Args:
        generator: In evaluation mode, weight norm folded in, float32, on the CPU.
        metadata: What is written into the file.
        conditioned: Whether a generator with ``global_channels`` takes its condition; it has none otherwise.
    """
    onnx = require("onnx", "onnx")
    inputs = _examples(generator) if conditioned else _examples(generator)[:1]
    names = ["mel", "condition"][: len(inputs)]
    axes = {name: {0: "batch"} for name in names} | {"wav": {0: "batch", 2: "samples"}}
    axes["mel"][2] = "frames"
    content = io.BytesIO()
    with library_errors("export to ONNX"), _quiet(), torch.no_grad():
        torch.onnx.export(
            generator,
            inputs,
            content,
            input_names=names,
            output_names=["wav"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_model_from_string(content.getvalue())
    widen_convolutions(model)
    onnx.helper.set_model_props(model, metadata or {})
    return model.SerializeToString()


def _write_pt2(generator: EVAGANGenerator, metadata: dict[str, str], path: Path) -> nn.Module:
    """Write a generator as pt2 and return what the file opens as."""
    batch, frames = torch.export.Dim("batch", min=1), torch.export.Dim("frames", min=1)
    inputs = _examples(generator)
    shapes = ({0: batch, 2: frames}, {0: batch})[: len(inputs)]
    with library_errors("export to pt2"), _quiet(), torch.no_grad():
        program = torch.export.export(generator, inputs, dynamic_shapes=shapes)
        torch.export.save(program, path, extra_files={"metadata.json": json.dumps(metadata)})
        return torch.export.load(path).module()


def _examples(generator: EVAGANGenerator) -> tuple[Tensor, ...]:
    """Return inputs to trace with; no size of theirs is one that PyTorch takes for a constant."""
    mel, channels = torch.zeros(2, generator.n_mels, 16), generator.config.global_channels
    return (mel, torch.zeros(2, channels, 1)) if channels else (mel,)


@torch.inference_mode()
def _difference(written: Callable[..., Tensor], generator: nn.Module, config: VocoderConfig) -> float:
    """Return the largest difference of a sample; not a number where there is one that is none."""
    differences = []
    for items, frames in COMPARED:
        inputs = [typical_mel(config.mel, items, frames)]
        if channels := config.own_generator.global_channels:
            inputs.append(torch.randn(items, channels, 1, generator=torch.Generator().manual_seed(0)))
        with library_errors("the written file"):
            differences.append((written(*inputs) - generator(*inputs)).abs().max())
    return float(torch.stack(differences).max())


def _weights_of(source: str) -> tuple[str, str]:
    """Return directory and name of the weights' file, and its SHA-256."""
    if not source:
        return "", ""
    path = weights_file(locate(source)).resolve()
    with path.open("rb") as file:
        return f"{path.parent.name}/{path.name}", hashlib.file_digest(file, "sha256").hexdigest()


def _quiet() -> warnings.catch_warnings:
    """Keep to itself what an exporter warns of: its age, branches on shapes that are always taken, folded constants."""
    return warnings.catch_warnings(action="ignore")
