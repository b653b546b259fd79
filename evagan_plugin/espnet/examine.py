"""What is registered in the installed ESPnet: asked by ``evagan doctor``, in a process of its own."""

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
import typeguard

from evagan_plugin.espnet.register import HOOKS, registered
from evagan_plugin.utils.finding import Finding

LEFT_OUT = ("g2p_en", "tacotron_cleaner", "transformers", "vietnamese_cleaner")
"""ESPnet imports these if they are there (English and Vietnamese text, adapters of speech recognition) and goes on
without them. With their own imports (nltk, inflect, scikit-learn, pandas) they take as long as all the rest, and
``g2p_en`` looks for its data in the network."""


def examine() -> Iterator[Finding]:
    """Import ESPnet's modules that EVA-GAN registers with and return what it has put where.

    It changes this process: call it in one of its own.
    """
    sys.modules.update(dict.fromkeys(LEFT_OUT))
    # Two decorators of ESPnet's functions: the first loads the compiler to say that it is not for them, the second
    # compiles them again with checks of types. Nothing is called here.
    torch.compiler.disable = typeguard.typechecked = _as_it_is
    for name in HOOKS:
        importlib.import_module(name)
    if not registered:
        yield Finding("espnet2", "nothing is registered", wrong=True)
    for place, names in sorted(registered.items()):
        yield Finding(place, ", ".join(names))


def _as_it_is(function: Callable | None = None, *_: Any, **__: Any) -> Callable:
    return function or (lambda decorated: decorated)
