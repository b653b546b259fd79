"""What is installed, what works, what is registered where in the hosts: the facts behind ``evagan doctor``.

What may be broken is imported in processes of their own, all at once; this one needs next to nothing.
"""

import importlib
import importlib.metadata
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.machinery import PathFinder
from multiprocessing.connection import Connection

from packaging.requirements import Requirement

from evagan_plugin.autoload import HOSTS, SWITCH
from evagan_plugin.utils.finding import Finding
from evagan_plugin.utils.progress import track

PACKAGE = "evagan-plugin"
OF_HOSTS = {"espnet", "coqui-tts", "coqui-tts-trainer"}
"""Requirements that are tried with their host."""
EXTRA = re.compile(r"extra == [\"'](\w+)")
"""Finds the extra in the marker of a requirement."""
SECONDS = 300
"""Given to each process: importing a host takes from 5 seconds to a minute."""

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["evagan_plugin.utils.preload"])


@dataclass(frozen=True)
class Question:
    """What a process of its own is asked."""

    subject: str
    """What it is about, where the process fails as a whole."""
    module: str
    """Module with a function ``examine``, which yields findings."""
    arguments: tuple[str, ...] = ()
    """Arguments of ``examine``."""

    def ask(self) -> list[Finding]:
        """Start the process and return what it has found, or how it has failed."""
        receiver, sender = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=_answer, args=(self, sender))
        process.start()
        sender.close()
        try:
            if not receiver.poll(SECONDS):
                late = f"not examined: its import takes over {SECONDS} s; try again on a less busy machine"
                return [Finding(self.subject, late, wrong=True)]
            return receiver.recv()
        except EOFError:
            process.join()
            status = process.exitcode or 0
            how = signal.strsignal(-status) if status < 0 else f"exit status {status}"
            return [Finding(self.subject, f"ends Python: {how}", wrong=True)]
        finally:
            process.kill()
            process.join()


def _answer(question: Question, sender: Connection) -> None:
    """Answer a question, in its process; what libraries print is of no interest."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    warnings.simplefilter("ignore")
    try:
        findings = list(importlib.import_module(question.module).examine(*question.arguments))
    except Exception as error:  # whatever a host throws is what is asked for
        findings = [Finding.failure(question.subject, error, "cannot be imported with EVA-GAN")]
    sender.send(findings)


def examine(hosts: bool = True) -> Iterator[Finding]:
    """Look at this environment.

    Args:
        hosts: Whether to start the installed hosts, to see what they have registered.
    """
    yield Finding("python", f"{sys.version.split()[0]} at {sys.executable}")
    asked = questions(hosts)
    with ThreadPoolExecutor() as pool:
        answers = [pool.submit(question.ask) for question in asked]
        yield from packages()
        yield hook()
        for host, ours in HOSTS.items():
            if not _is_there(host):
                # The extra that brings a host is called like the package of ours that adapts to it.
                extra = ours.rpartition(".")[2]
                yield Finding(host, f"not installed (pip install '{PACKAGE}[{extra}]')")
        for _ in track(as_completed(answers), "examining", total=len(answers)):
            pass
    for answer in answers:
        yield from answer.result()
    yield Finding("disk", f"{shutil.disk_usage(os.getcwd()).free / 2**30:.1f} GiB free here")


def questions(hosts: bool) -> list[Question]:
    """Return what is to be asked here, the slowest first."""
    there = {host: ours for host, ours in HOSTS.items() if hosts and _is_there(host)}
    installed = {name for group in requirements().values() for name in group if version(name)} - OF_HOSTS
    return [
        *(Question(host, f"{ours}.examine") for host, ours in there.items()),
        Question("packages", "evagan_plugin.evaluation.examine", tuple(sorted(installed))),
    ]


def _is_there(package: str) -> bool:
    # Not importlib.util.find_spec: to be asked for a host is what our own finder waits for.
    return PathFinder.find_spec(package) is not None


def requirements() -> dict[str, dict[str, Requirement]]:
    """Return what this package requires, by extra ("" for all) and name."""
    wanted: dict[str, dict[str, Requirement]] = {}
    for requirement in map(Requirement, importlib.metadata.requires(PACKAGE) or []):
        extra = EXTRA.search(str(requirement.marker or ""))
        wanted.setdefault(extra[1] if extra else "", {})[requirement.name] = requirement
    wanted.pop("all", None)
    return wanted


def packages() -> Iterator[Finding]:
    """Compare what is installed with what this package requires, extra by extra."""
    yield Finding(PACKAGE, importlib.metadata.version(PACKAGE))
    wanted = requirements()
    versions = {name: version(name) for group in wanted.values() for name in group}
    for name, requirement in sorted({name: r for group in wanted.values() for name, r in group.items()}.items()):
        installed = versions[name]
        if installed is not None:
            fits = requirement.specifier.contains(installed, prereleases=True)
            yield Finding(name, installed if fits else f"{installed}, not {requirement.specifier}", wrong=not fits)
    for extra, group in wanted.items():
        missing = sorted(name for name in group if versions[name] is None)
        if missing:
            install = f"pip install '{PACKAGE}[{extra}]'" if extra else f"pip install {PACKAGE}"
            # An extra of which everything is missing is one that nobody wanted.
            wrong = not extra or len(missing) < len(group)
            yield Finding(
                f"extra {extra}" if extra else "requirements", f"without {', '.join(missing)}: {install}", wrong
            )


def version(package: str) -> str | None:
    """Return which version of a package is installed, None if it is not."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def hook() -> Finding:
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
