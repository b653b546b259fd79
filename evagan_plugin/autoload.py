"""Puts EVA-GAN into ESPnet and Coqui TTS when, and only when, they are imported.

``evagan_plugin.pth``, which lies beside the installed package, calls :func:`install` at the start of every
interpreter, spawned workers included. So this module imports next to nothing, and touches no host before it is used.
``EVAGAN_PLUGIN_AUTOLOAD=0`` in the environment switches it off.
"""

import os
import sys
from importlib import import_module

SWITCH = "EVAGAN_PLUGIN_AUTOLOAD"

HOSTS = {"espnet2": "evagan_plugin.espnet", "TTS": "evagan_plugin.coqui"}
"""Packages of the hosts, and ours whose ``register()`` is called when one is imported."""

COQUI_MODULES = {
    "TTS.vocoder.configs.eva_gan_config": "evagan_plugin.coqui.config",
    "TTS.vocoder.models.eva_gan": "evagan_plugin.coqui.model",
}
"""Names under which Coqui TTS looks for ``model: eva_gan``, and the modules of ours that they mean."""


class HostFinder:
    """Finds no module: it stands first in ``sys.meta_path`` to see the import of a host begin.

    Args:
        hosts: Host packages, and the packages whose ``register()`` they call for.
    """

    def __init__(self, hosts: dict[str, str]) -> None:
        self.waiting = dict(hosts)

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Register with a host that is about to be imported; leave the finding to the finders behind."""
        if name in self.waiting:
            # Taken out first: register() imports, and so comes here again.
            import_module(self.waiting.pop(name)).register()


class AliasFinder:
    """Lets modules of ours be imported under names inside a host's package.

    Both names give the same module object. It stands last in ``sys.meta_path``: a module that the host has itself
    wins.

    Args:
        modules: Names inside the host, and the modules of ours that they mean.
    """

    def __init__(self, modules: dict[str, str]) -> None:
        self.modules = dict(modules)

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        """Return a spec for a name of ours, or None."""
        if name not in self.modules:
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, self, origin=self.modules[name])

    def create_module(self, spec: object) -> None:
        """Leave the making of the placeholder to Python."""

    def exec_module(self, module: object) -> None:
        """Put our module in the place of the placeholder.

        Raises:
            ImportError: If a package that our module needs is missing. (The hosts take ModuleNotFoundError for a
                model that does not exist.)
        """
        name = module.__spec__.name
        try:
            sys.modules[name] = import_module(self.modules[name])
        except ModuleNotFoundError as error:
            raise ImportError(f"EVA-GAN cannot be loaded as {name}: {error}", name=error.name) from error


UNKNOWN_NAME = (ImportError, KeyError, ValueError)
"""How the hosts fail at a name or a file that they do not know."""


def install() -> None:
    """Wait for the hosts, unless the environment says otherwise; a second call changes nothing."""
    if os.environ.get(SWITCH) == "0":
        _remind_on_failure()
        return
    if is_installed():
        return
    sys.meta_path.insert(0, HostFinder(HOSTS))
    alias_modules(COQUI_MODULES)


def _remind_on_failure() -> None:
    """Behind an error that ends a host's program, say what the host cannot: it has not been told of EVA-GAN."""
    before = sys.excepthook
    if before.__module__ == __name__:
        return

    def remind(kind: type, error: BaseException, traceback: object) -> None:
        before(kind, error, traceback)
        if not issubclass(kind, UNKNOWN_NAME):
            return
        for host, ours in HOSTS.items():
            if host in sys.modules and ours not in sys.modules:
                sys.stderr.write(f"{SWITCH}=0: {host} does not know EVA-GAN; unset it, or call {ours}.register()\n")

    sys.excepthook = remind


def is_installed() -> bool:
    """Say whether this interpreter waits for the hosts."""
    return any(isinstance(finder, HostFinder) for finder in sys.meta_path)


def alias_modules(modules: dict[str, str]) -> None:
    """Let modules of ours be imported under names inside a host's package; a second call changes nothing."""
    if not any(isinstance(finder, AliasFinder) and finder.modules == modules for finder in sys.meta_path):
        sys.meta_path.append(AliasFinder(modules))
