"""Listening tests: made from folders of audio, run in the browser, analysed with proper intervals.

``create_test`` makes a test, ``add_system`` puts the samples of a checkpoint into one that runs.
"""

import importlib
from typing import Any

_PUBLIC = {
    "ListeningOptions": "evagan_plugin.listening.design.options",
    "ObjectiveMetrics": "evagan_plugin.listening.results.objective",
    "TestOptions": "evagan_plugin.listening.design.options",
    "add_system": "evagan_plugin.listening.add",
    "create_test": "evagan_plugin.listening.create",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    # Making a test takes packages of the extra "listen"; the names of the package are there without them.
    if name not in _PUBLIC:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
