"""Listening tests: made from folders of audio, run in the browser, analysed with proper intervals.

``create_test`` makes a test, ``add_system`` puts the samples of a checkpoint into one that runs.
"""

from typing import Any

__all__ = ["ObjectiveMetrics", "TestOptions", "add_system", "create_test"]


def __getattr__(name: str) -> Any:
    # Making a test takes packages of the extra "listen"; the names of the package are there without them.
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from evagan_plugin.listening import create

    return getattr(create, name)
