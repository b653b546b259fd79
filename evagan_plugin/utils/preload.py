"""What most processes of ``evagan doctor`` need, imported once by the process that they are forked from."""

import contextlib
import importlib

from evagan_plugin.utils.numba_cache import make_numba_cache

make_numba_cache()

for _name in ("torch", "torchaudio", "scipy.signal", "numba"):
    # Whoever needs one that is broken will say so.
    with contextlib.suppress(Exception):
        importlib.import_module(_name)
