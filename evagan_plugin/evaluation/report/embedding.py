"""What a page carries inside itself, so that it needs nothing beside it: styles, scripts, pictures, audio."""

import base64
import io
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evagan_plugin.audio.io import save_audio
from evagan_plugin.errors import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGES = files("evagan_plugin.evaluation.report") / "pages"
SHARED_PAGES = files("evagan_plugin.utils") / "pages"
"""Player and colours, which listening tests have too."""


@dataclass(frozen=True)
class Picture:
    """A picture as a ``data:`` URI, with the words that stand for it."""

    source: str
    words: str


def template(name: str) -> Any:
    """Return a page to fill in (raises EvaganError if jinja2 is missing)."""
    jinja2 = require("jinja2", "score", "curate")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(text_of(PAGES / name))


def text_of(*paths: Any) -> str:
    """Return the texts of files, one after the other."""
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def flac_uri(wav: np.ndarray, sample_rate: int) -> str:
    """Return samples ``(T,)`` as a ``data:`` URI: FLAC, 16 bit, levels as they are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audio.flac"
        save_audio(path, wav, sample_rate)
        return f"data:audio/flac;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def svg_uri(figure: "Figure") -> str:
    """Return a figure as a ``data:`` URI; the same figure gives the same text."""
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "evagan"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return image_uri(stream, "svg+xml")


def image_uri(stream: io.BytesIO, kind: str) -> str:
    """Return an image as a ``data:`` URI."""
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
