"""Whether an exported vocoder fits an exported acoustic model, before sherpa-onnx or another runtime joins them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evagan_plugin.audio.mel import MelMismatchError, fixed_fields
from evagan_plugin.errors import UsageError
from evagan_plugin.inference.exported import metadata_in, read_facts, read_model

NAMES = {
    "sample_rate": ("sample_rate",),
    "n_fft": ("n_fft", "filter_length"),
    "hop_length": ("hop_length", "hop_size"),
    "win_length": ("win_length", "window_length", "win_size"),
    "n_mels": ("n_mels", "num_mels", "mel_dim", "feat_dim"),
    "f_min": ("f_min", "mel_fmin", "fmin"),
    "f_max": ("f_max", "mel_fmax", "fmax"),
}
"""What exported acoustic models call the fields of a mel in their metadata."""


@dataclass(frozen=True)
class Fit:
    """What was compared of two exported files."""

    agreed: dict[str, float]
    """Fields that the acoustic model states, all as the vocoder has them."""
    unstated: list[str]
    """Fields that it does not state: nothing but its maker can say whether they agree."""


def check_acoustic(vocoder: str | Path, acoustic: str | Path) -> Fit:
    """Compare an exported vocoder with what an exported acoustic model says of its mels.

    Args:
        vocoder: ONNX file of ours.
        acoustic: ONNX file of an acoustic model, of sherpa-onnx's kinds for example: its metadata is read, and the
            shape of its output where it is (B, n_mels, F) with a fixed number of bands.

    Raises:
        MelMismatchError: If they differ; it lists every field.
        UsageError: If the acoustic model does not even state its sample rate, or there is no such file.
        EvaganError: If a file is damaged or the vocoder is no export of ours.
    """
    ours = fixed_fields(read_facts(vocoder).config.mel)
    stated = stated_mel(read_model(acoustic))
    if "sample_rate" not in stated:
        raise UsageError(f"{acoustic} has no sample_rate in its metadata: whether {vocoder} fits cannot be said")
    differing = [(name, value, ours[name]) for name, value in stated.items() if value != ours[name]]
    if differing:
        raise MelMismatchError(differing, str(acoustic), str(vocoder))
    return Fit(stated, [name for name in (*ours, "log") if name not in stated])


def stated_mel(model: Any) -> dict[str, float]:
    """Return the fields of a mel that an acoustic model (``onnx.ModelProto``) states."""
    metadata, stated = metadata_in(model), {}
    for field, names in NAMES.items():
        value = next((number for name in names if (number := _number(metadata, name)) is not None), None)
        if value is not None:
            stated[field] = value
    shape = [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim] if model.graph.output else []
    if len(shape) == 3 and shape[1]:
        stated["n_mels"] = shape[1]
    return stated


def _number(metadata: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(metadata[name])
    except (KeyError, ValueError):
        return None
    return int(value) if value.is_integer() else value
