"""What Coqui TTS finds where it looks for EVA-GAN: asked by ``evagan doctor``, in a process of its own."""

import importlib
from collections.abc import Iterator

from evagan_plugin.autoload import COQUI_MODULES
from evagan_plugin.utils.finding import Finding


def examine() -> Iterator[Finding]:
    """Import our modules as Coqui TTS does, by names of its own, and return which they are."""
    for name in COQUI_MODULES:
        yield Finding(name, importlib.import_module(name).__spec__.name)
