"""What is installed, what is registered where in the hosts, and what is wrong: the facts behind ``evagan doctor``."""

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import Requirement

from evagan_plugin.autoload import COQUI_MODULES, SWITCH

PACKAGE = "evagan-plugin"
HOSTS = {"espnet": "espnet2", "coqui": "TTS"}
"""Extras that bring a host, and the host's package."""
EXTRA = re.compile(r"extra == [\"'](\w+)")
"""Finds the extra in the marker of a requirement."""
HOST_SECONDS = 300
"""Importing a host takes from 5 seconds to a minute."""

ASK_ESPNET = """
import importlib, json
from evagan_plugin.espnet.register import HOOKS, registered
for name in HOOKS:
    importlib.import_module(name)
print(json.dumps(registered))
"""
ASK_COQUI = """
import importlib, json
print(json.dumps({name: [importlib.import_module(name).__spec__.name] for name in %r}))
"""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    subject: str
    """What it is about."""
    text: str
    """What was found."""
    wrong: bool = False
    """Whether something has to be done."""


def examine(hosts: bool = True) -> Iterator[Finding]:
    """Look at this environment.

    Args:
        hosts: Whether to start the installed hosts in processes of their own, to see what they have registered.
    """
    yield Finding("python", f"{sys.version.split()[0]} at {sys.executable}")
    yield from _packages()
    yield _hook()
    for extra, package in HOSTS.items():
        if importlib.util.find_spec(package) is None:
            yield Finding(package, f"not installed (pip install '{PACKAGE}[{extra}]')")
        elif hosts:
            yield from _registration(package, ASK_ESPNET if extra == "espnet" else ASK_COQUI % (list(COQUI_MODULES),))
    yield from _compute()


def _packages() -> Iterator[Finding]:
    """Compare what is installed with what this package requires, extra by extra."""
    yield Finding(PACKAGE, importlib.metadata.version(PACKAGE))
    wanted: dict[str, dict[str, Requirement]] = {}
    for requirement in map(Requirement, importlib.metadata.requires(PACKAGE) or []):
        extra = EXTRA.search(str(requirement.marker or ""))
        wanted.setdefault(extra[1] if extra else "", {})[requirement.name] = requirement
    wanted.pop("all", None)
    versions = {name: _version(name) for requirements in wanted.values() for name in requirements}
    for name, requirement in sorted({name: r for group in wanted.values() for name, r in group.items()}.items()):
        installed = versions[name]
        if installed is not None:
            fits = requirement.specifier.contains(installed, prereleases=True)
            yield Finding(name, installed if fits else f"{installed}, not {requirement.specifier}", wrong=not fits)
    for extra, requirements in wanted.items():
        missing = sorted(name for name in requirements if versions[name] is None)
        if missing:
            install = f"pip install '{PACKAGE}[{extra}]'" if extra else f"pip install {PACKAGE}"
            # An extra of which everything is missing is one that nobody wanted.
            wrong = not extra or len(missing) < len(requirements)
            yield Finding(
                f"extra {extra}" if extra else "requirements", f"without {', '.join(missing)}: {install}", wrong
            )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _hook() -> Finding:
    """Say whether a new interpreter, as a host's command starts one, waits for the hosts."""
    if os.environ.get(SWITCH) == "0":
        return Finding(
            "hook",
            f"switched off by {SWITCH}=0: hosts know EVA-GAN only through python -m evagan_plugin.espnet.bin.... or "
            "register()",
            wrong=True,
        )
    code = "import sys; print('evagan_plugin.autoload' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout.strip()
    if answer == "True":
        return Finding("hook", "installed: a host that is imported knows EVA-GAN")
    return Finding("hook", f"evagan_plugin.pth is missing beside the package: reinstall {PACKAGE}", wrong=True)


def _registration(package: str, question: str) -> Iterator[Finding]:
    """Import a host in a process of its own and list what is registered."""
    try:
        answer = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", question],
            capture_output=True,
            text=True,
            timeout=HOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        late = f"not examined: its import takes over {HOST_SECONDS} s; try again on a less busy machine"
        yield Finding(package, late, wrong=True)
        return
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        yield Finding(package, f"cannot be imported with EVA-GAN: {last}", wrong=True)
        return
    places = json.loads(answer.stdout.strip().splitlines()[-1])
    if not places:
        yield Finding(package, "nothing is registered", wrong=True)
    for place, names in sorted(places.items()):
        yield Finding(place, ", ".join(names))


def _compute() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            yield Finding(f"cuda:{index}", torch.cuda.get_device_name(index))
    else:
        yield Finding("cuda", "no GPU that PyTorch can use")
    free = shutil.disk_usage(os.getcwd()).free
    yield Finding("disk", f"{free / 2**30:.1f} GiB free here")
