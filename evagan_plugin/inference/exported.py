"""Exported files as they lie on disk: formats, and what an ONNX file says of itself. Imports no torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evagan_plugin.config import VocoderConfig, build_config, config_to_dict
from evagan_plugin.errors import ConfigError, EvaganError, UsageError, nearest, require

FORMATS = {"onnx": ".onnx", "pt2": ".pt2"}
"""Formats of an export, and the suffix of each. Our commands open ``.onnx``; ``torch.export.load`` opens ``.pt2``."""
SIGNATURE = "evagan_plugin"
"""Metadata that tells an export of ours: the version of this package that wrote it."""
CONFIG_KEY = "config"


@dataclass(frozen=True)
class ExportedFacts:
    """What an exported file says of itself."""

    config: VocoderConfig
    """The whole vocoder."""
    version: str
    """Version of this package that wrote it."""
    source: str
    """The weights that it was made of: directory and name of their file."""
    weights_sha256: str
    """Of that file, as hexadecimal digits."""


def is_onnx(path: str | Path) -> bool:
    """Whether a model is an ONNX file by its name."""
    return Path(path).suffix.lower() == FORMATS["onnx"]


def export_format(path: str | Path, kind: str | None = None) -> str:
    """Return the format of a file to be written, a key of :data:`FORMATS`; by its suffix where ``kind`` is None.

    Raises:
        UsageError: If there is no such format, or the file has another suffix.
    """
    suffix = Path(path).suffix.lower()
    if kind is None:
        kind = next((name for name, own in FORMATS.items() if own == suffix), None)
        if kind is None:
            raise UsageError(f"{path}: of which format? End its name in {' or '.join(FORMATS.values())}")
    if kind not in FORMATS:
        raise UsageError(f"unknown format '{kind}': {nearest(kind, FORMATS)}")
    if suffix != FORMATS[kind]:
        raise UsageError(f"{path} would be {kind}: end its name in {FORMATS[kind]}, by which it is opened")
    return kind


def metadata_of(config: VocoderConfig, version: str, source: str = "", weights_sha256: str = "") -> dict[str, str]:
    """Return the metadata of an exported file.

    sherpa-onnx reads ``model_type`` and ``sample_rate``; ``mel`` is the whole contract as JSON, for whoever makes mels.
    """
    mel = config_to_dict(replace(config.mel, f_max=config.mel.upper_edge))
    return {
        "model_type": "hifigan",
        "sample_rate": str(config.mel.sample_rate),
        "hop_length": str(config.mel.hop_length),
        "n_mels": str(config.mel.n_mels),
        "mel": json.dumps(mel),
        CONFIG_KEY: json.dumps(config_to_dict(config)),
        SIGNATURE: version,
        "source": source,
        "weights_sha256": weights_sha256,
    }


def read_facts(path: str | Path) -> ExportedFacts:
    """Read what an ONNX file of ours says of itself.

    Raises:
        EvaganError: If the file is damaged, is no export of ours, or onnx is not installed.
        UsageError: If there is no such file.
    """
    metadata = metadata_in(read_model(path))
    if SIGNATURE not in metadata:
        kind = metadata.get("model_type")
        what = f"model_type '{kind}'" if kind else "no metadata of ours; or it is truncated"
        raise EvaganError(f"{path} is not an ONNX file that `evagan export` wrote ({what})")
    try:
        config = build_config(json.loads(metadata[CONFIG_KEY]))
    except (KeyError, ValueError, ConfigError) as error:
        raise EvaganError(f"{path}: the config inside cannot be read: {error}") from error
    return ExportedFacts(config, metadata[SIGNATURE], metadata.get("source", ""), metadata.get("weights_sha256", ""))


def read_model(path: str | Path) -> Any:
    """Read an ONNX file, ours or another, without weights that lie outside it (an ``onnx.ModelProto``).

    Raises:
        EvaganError: If it is damaged or no ONNX file, or onnx is not installed.
        UsageError: If there is no such file.
    """
    onnx = require("onnx", "onnx")
    if not Path(path).is_file():
        raise UsageError(f"there is no file {path}")
    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except OSError as error:
        raise EvaganError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # google.protobuf.message.DecodeError, of a package that is not ours to import
        raise EvaganError(f"{path} is no ONNX file, or damaged or truncated") from error
    if not model.graph.node:
        raise EvaganError(f"{path} is no ONNX file, or damaged or truncated: it has no graph")
    return model


def metadata_in(model: Any) -> Mapping[str, str]:
    """Return the metadata of an ONNX model by name."""
    return {entry.key: entry.value for entry in model.metadata_props}
