"""Log-mel features in files, and the one check of their shape. Imports no torch until a file is read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from evagan_plugin.audio.archive import ARCHIVED, archive_of
from evagan_plugin.config import MelConfig
from evagan_plugin.errors import EvaganError, UsageError, require

if TYPE_CHECKING:
    from torch import Tensor

Layout = Literal["bands_first", "frames_first"]
"""Which way round features lie: (n_mels, F) as torch and Coqui TTS have them, (F, n_mels) as Kaldi and ESPnet do."""
FEATURE_SUFFIXES = frozenset({".npy", ".pt"})
"""Suffixes (lower case) that a search for features goes by."""
FRAMES_TOLERANCE = 2
"""Frames by which features may be shorter or longer than their audio: centred framing adds one, and acoustic models
that make several frames per step round up or down."""


def read_features(path: str | Path, mel: MelConfig, layout: Layout) -> "Tensor":
    """Read the log-mels of one utterance from ``.npy``, ``.pt`` or ``FILE.ark:OFFSET``.

    Args:
        path: The file. A batch dimension of 1 in front is taken away.
        mel: What the bands must be.
        layout: Which way round they lie in the file.

    Returns:
        Tensor: Log-mels (n_mels, F), float32.

    Raises:
        EvaganError: If the file is missing or no array.
        UsageError: If the shape is wrong (bands, orientation, no frames) or values are not finite; it names the file.
    """
    features = _load(str(path))
    if features.dim() == 3 and features.shape[0] == 1:
        features = features.squeeze(0)
    if features.dim() != 2:
        raise UsageError(f"{path}: {features.dim()} dimensions, one utterance of {_expected(mel.n_mels, layout)} has 2")
    check_mel(features, mel, f"{path}: features", layout)
    return features if layout == "bands_first" else features.transpose(0, 1)


def check_features(place: str) -> None:
    """Check that a file of features is there, its header readable, or its archive long enough; values are not read.

    Raises:
        EvaganError: What is wrong, the file in front.
    """
    import numpy as np

    path, entry = archive_of(place), ARCHIVED.search(place)
    try:
        size = path.stat().st_size
        if size <= (int(entry[1]) if entry else 0):
            raise EvaganError(f"{place}: the file ends before it" if entry else f"{place}: empty file (0 bytes)")
        if path.suffix.lower() == ".npy":
            np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise EvaganError(f"{place}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def check_mel(mel: "Tensor", config: MelConfig, name: str = "mel", layout: Layout = "bands_first") -> None:
    """Check that a tensor can be log-mels of this definition.

    Args:
        mel: (n_mels, F) or (B, n_mels, F); with ``frames_first`` the last two the other way round.
        config: The definition.
        name: How it is called in an error.
        layout: Which way round it lies.

    Raises:
        UsageError: If bands and frames are swapped, the number of bands is another, or values are not finite.
    """
    if mel.dim() not in (2, 3):
        expected = _expected(config.n_mels, layout)
        raise UsageError(f"{name} of {mel.dim()} dimensions: {expected}, or a batch of that, is expected")
    check_shape(mel.shape[-2:], config.n_mels, name, layout)
    if not mel.numel():
        raise UsageError(f"{name}: no frames")
    if not mel.isfinite().all():
        raise UsageError(f"{name}: values that are not finite (NaN or infinity)")


def check_shape(shape: Sequence[int], n_mels: int, name: str, layout: Layout) -> None:
    """Check the shape of one utterance's features.

    Raises:
        UsageError: If they have not two dimensions, bands and frames are swapped, or the number of bands is another.
    """
    axis = 0 if layout == "bands_first" else 1
    if len(shape) == 2 and shape[axis] == n_mels:
        return
    if len(shape) != 2:
        reason = f"{len(shape)} dimensions"
    elif shape[1 - axis] == n_mels:
        reason = "frames and bands are swapped"
    else:
        reason = f"{shape[axis]} bands are other features than the vocoder's mel"
    raise UsageError(f"{name} of shape {tuple(shape)}, not {_expected(n_mels, layout)}: {reason}")


def check_frames(frames: int, samples: int, hop_length: int, name: str) -> None:
    """Check that features and a recording can belong together (raises :class:`UsageError`).

    Args:
        frames: Of the features.
        samples: Of the recording.
        hop_length: Samples per frame.
        name: Whose they are, for the error.
    """
    if abs(frames * hop_length - samples) > FRAMES_TOLERANCE * hop_length:
        raise UsageError(
            f"{name} has {frames} frames of {hop_length} samples beside {samples} samples "
            f"({samples / hop_length:.1f} frames): make both from the same recording with the same hop, and those "
            "of an acoustic model with teacher forcing"
        )


def _expected(n_mels: int, layout: Layout) -> str:
    return f"({n_mels}, frames)" if layout == "bands_first" else f"(frames, {n_mels})"


def _load(path: str) -> "Tensor":
    """Return an array of any shape as float32."""
    import numpy as np
    import torch

    try:
        if ARCHIVED.search(path):
            content = require("omniio.kaldi", "espnet").load_mat(path)
        elif Path(path).suffix.lower() == ".pt":
            content = torch.load(path, map_location="cpu", weights_only=True)
        else:
            content = np.load(path, allow_pickle=False)
        # A copy, since archives give arrays that may not be written to.
        return torch.as_tensor(content if isinstance(content, torch.Tensor) else np.array(content)).float()
    except EvaganError:
        raise
    except Exception as error:  # each reader has its own kinds
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise EvaganError(f"{path}: not readable as features: {reason}") from error
