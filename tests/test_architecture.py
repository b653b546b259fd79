"""The house: which layer may import which, no circle between files, and what a start loads.

The rules are functions over a source tree; the last tests break a copy of the tree and see each rule fail.
"""

import ast
import graphlib
import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "evagan_plugin"
ORDER = (
    "errors < utils < config < audio < data, model < training, checkpoint < inference < evaluation "
    "< listening, benchmark < espnet, coqui < cli"
)
"""The layers, lowest first. A file imports its own package and lower layers; neighbours do not know each other."""
LAYERS = {part.strip(): height for height, neighbours in enumerate(ORDER.split("<")) for part in neighbours.split(",")}
BESIDE = {"autoload": {"errors"}, "doctor": {"autoload", "errors", "utils"}}
"""Modules at the root beside the order, and all that they may import: ``autoload`` runs at the start of every
interpreter, ``doctor`` has to work where everything else is broken."""
MAY_IMPORT_BESIDE = {"autoload": {"doctor", "benchmark", "espnet", "coqui", "cli"}, "doctor": {"cli"}}
ROOT_MODULES = 6
"""So many modules may stand at the package's root."""

TORCH = {"torch", "torchaudio", "numpy"}
READS_A_CONFIG = {"pydantic", "yaml"}
HEAVY = TORCH | READS_A_CONFIG | {"scipy", "numba", "soundfile", "huggingface_hub"}
HOST_PART = {"espnet": "espnet", "espnet2": "espnet", "TTS": "coqui", "trainer": "coqui"}
"""Packages of the hosts, and the one part of the house that may import each."""
OPTIONAL = {
    *HOST_PART,
    "librosa",
    "matplotlib",
    "pesq",
    "torchcrepe",
    "auraloss",
    "fastapi",
    "sqlalchemy",
    "scipy",
    "onnx",
    "onnxruntime",
}


@dataclass(frozen=True)
class Import:
    """One import of the package's own modules; a name of the root (``from evagan_plugin import X``) is ``target``."""

    source: str
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.source} (line {self.line}) imports {self.target}"


def modules(package: Path) -> dict[str, Path]:
    """Return the files of a package by the names of their modules."""
    paths = {path.relative_to(package.parent).with_suffix(""): path for path in sorted(package.rglob("*.py"))}
    return {".".join(path.parts).removesuffix(".__init__"): file for path, file in paths.items()}


def nodes(path: Path) -> Iterator[ast.Import | ast.ImportFrom]:
    """Return the imports of a file, anywhere in it: in functions and under TYPE_CHECKING, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def own_imports(package: Path) -> list[Import]:
    """Return what the modules of a package import of it."""
    known, found = modules(package), []
    for source, path in known.items():
        for node in nodes(path):
            if isinstance(node, ast.Import):
                targets = {alias.name for alias in node.names}
            else:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                # `from package import x` is of the module x where there is one.
                targets = {name if name in known or node.module == package.name else node.module for name in names}
            found += [
                Import(source, target, node.lineno)
                for target in sorted(targets)
                if target and target.split(".")[0] == package.name and target != source
            ]
    return found


def part(module: str) -> str:
    """Return the part of the house that a module, or a name of the root, lies in; the root itself is ''."""
    return module.split(".")[1] if "." in module else ""


def relative_imports(package: Path) -> list[str]:
    """Return the imports that begin with a dot."""
    return [
        f"{module} (line {node.lineno}) has a relative import"
        for module, path in modules(package).items()
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def unknown_parts(package: Path) -> list[str]:
    """Return the modules and folders at the root that have no place in the order."""
    parts = {part(module) for module in modules(package)} - {""}
    return [f"{package.name}.{name} has no place in ORDER" for name in sorted(parts - LAYERS.keys() - BESIDE.keys())]


def unexplained_folders(package: Path) -> list[str]:
    """Return the folders with modules whose ``__init__.py`` is missing or does not say what they are for."""
    folders = {path.parent for path in package.rglob("*.py")}
    inits = {folder: folder / "__init__.py" for folder in sorted(folders)}
    return [
        f"{folder.relative_to(package.parent)} has no __init__.py that says what it is for"
        for folder, init in inits.items()
        if not init.exists() or not ast.get_docstring(ast.parse(init.read_text(encoding="utf-8")))
    ]


def upward_imports(package: Path) -> list[str]:
    """Return the imports that do not lead down."""
    return [f"{one}: {why}" for one in own_imports(package) if (why := _objection(part(one.source), part(one.target)))]


def _objection(source: str, target: str) -> str | None:
    if source == target:
        return None
    if source == "":
        return "the root imports nothing before it is used"
    if target not in LAYERS and target not in BESIDE:
        return None if target == "__version__" else "import it from where it is defined"
    if source in BESIDE:
        return None if target in BESIDE[source] else f"{source} imports only {', '.join(sorted(BESIDE[source]))}"
    if target in BESIDE:
        return None if source in MAY_IMPORT_BESIDE[target] else f"{target} is not for {source}"
    if LAYERS[target] < LAYERS[source]:
        return None
    return (
        f"{target} and {source} are neighbours" if LAYERS[target] == LAYERS[source] else f"{target} is above {source}"
    )


def circles(package: Path) -> list[str]:
    """Return circles of files that import each other; when one import of each is taken out, none is left."""
    known = modules(package)
    graph: dict[str, set[str]] = {module: set() for module in known}
    lines = {}
    for one in own_imports(package):
        if one.target in known:
            graph[one.source].add(one.target)
            lines.setdefault((one.source, one.target), one.line)
    found = []
    while True:
        try:
            graphlib.TopologicalSorter(graph).prepare()
            return found
        except graphlib.CycleError as error:
            # Each of these is imported by the next.
            circle = error.args[1][::-1]
            steps = [f"{source} (line {lines[source, target]})" for source, target in itertools.pairwise(circle)]
            found.append("circle: " + " -> ".join([*steps, circle[-1]]))
            graph[circle[0]].discard(circle[1])


def host_imports(package: Path) -> list[str]:
    """Return the imports of a host outside its own part."""
    return [
        f"{module} (line {node.lineno}) imports {name}: that is for {HOST_PART[name.split('.')[0]]}"
        for module, path in modules(package).items()
        for node in nodes(path)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        if HOST_PART.get(name.split(".")[0], part(module)) != part(module)
    ]


RULES = (host_imports, relative_imports, unknown_parts, unexplained_folders, upward_imports, circles)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule):
    assert not rule(PACKAGE), "\n" + "\n".join(rule(PACKAGE))


def test_few_modules_stand_at_the_root():
    assert len(list(PACKAGE.glob("*.py"))) <= ROOT_MODULES


def run(code: str, *arguments: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.stdout


def test_importing_a_package_loads_nothing_heavy():
    packages = [name for name, path in modules(PACKAGE).items() if path.name == "__init__.py"]
    # In one interpreter, the lowest first: what a lower layer loads, a higher one may import.
    packages = sorted(packages, key=lambda name: (is_torch_throughout(name), LAYERS.get(part(name), -1)))
    code = "\n".join(f"import {name}; print({name!r}, *({HEAVY | OPTIONAL!r} & set(sys.modules)))" for name in packages)
    for line in run(f"import sys\n{code}").splitlines():
        name, *heavy = line.split()
        above_config = LAYERS.get(part(name), -1) >= LAYERS["config"]
        found = set(heavy) - (READS_A_CONFIG if above_config else set())
        if is_torch_throughout(name):
            found -= TORCH
        assert not found, f"{name}/__init__.py loads {', '.join(sorted(found))}"


def is_torch_throughout(package: str) -> bool:
    """Say whether each module of a package imports torch anyway: its ``__init__`` makes none of them slower."""
    inside = [path for name, path in modules(PACKAGE).items() if name.startswith(f"{package}.")]
    return bool(inside) and all(
        any("torch" in {alias.name for alias in node.names} | {getattr(node, "module", "")} for node in nodes(path))
        for path in inside
    )


LIGHT = {
    "--help": ["--help"],
    "listen --help": ["listen", "--help"],
    "a wrong option": ["synth", "--no-such-option"],
    "a missing argument": ["score"],
    "a wrong command": ["sinth"],
}
"""Arguments of ``evagan`` that need nothing heavy to be answered. (Typer reads arguments with pydantic.)"""


@pytest.mark.parametrize("arguments", LIGHT.values(), ids=LIGHT)
def test_help_and_wrong_usage_load_nothing_heavy(arguments):
    heavy = (HEAVY | OPTIONAL) - {"pydantic"}
    code = (
        f"import atexit, sys; atexit.register(lambda: print('loaded', *({heavy!r} & set(sys.modules))));"
        "from evagan_plugin.cli import main; main()"
    )
    assert run(code, *arguments).splitlines()[-1] == "loaded"


def test_what_needs_no_host_loads_none_and_nothing_optional():
    wanted = ("training.gan", "inference.vocoder", "inference.batch", "evaluation.scoring", "checkpoint.convert")
    imports = "; ".join(f"import {PACKAGE.name}.{name}" for name in wanted)
    assert run(f"import sys; {imports}; print('loaded', *({OPTIONAL!r} & set(sys.modules)))").strip() == "loaded"


def test_public_names_are_there():
    import evagan_plugin

    for name in evagan_plugin.__all__:
        assert getattr(evagan_plugin, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        evagan_plugin.nothing  # noqa: B018


FAULTS = {
    "an upward import": (
        upward_imports,
        "audio/mel.py",
        "from evagan_plugin.training import gan",
        "evagan_plugin.audio.mel (line {line}) imports evagan_plugin.training.gan: training is above audio",
    ),
    "a lazy upward import": (
        upward_imports,
        "utils/files.py",
        "def f():\n    import evagan_plugin.config",
        "evagan_plugin.utils.files (line {line}) imports evagan_plugin.config: config is above utils",
    ),
    "a neighbour": (
        upward_imports,
        "espnet/export.py",
        "from evagan_plugin.coqui import data",
        "evagan_plugin.espnet.export (line {line}) imports evagan_plugin.coqui.data: coqui and espnet are neighbours",
    ),
    "the command line": (
        upward_imports,
        "coqui/export.py",
        "from evagan_plugin.cli import app",
        "evagan_plugin.coqui.export (line {line}) imports evagan_plugin.cli: cli is above coqui",
    ),
    "the public face": (
        upward_imports,
        "cli/info.py",
        "from evagan_plugin import EVAGANVocoder",
        "evagan_plugin.cli.info (line {line}) imports evagan_plugin.EVAGANVocoder: import it from where it is defined",
    ),
    "doctor that needs what may be broken": (
        upward_imports,
        "doctor.py",
        "from evagan_plugin.inference import vocoder",
        "evagan_plugin.doctor (line {line}) imports evagan_plugin.inference.vocoder: doctor imports only autoload, "
        "errors, utils",
    ),
    "a circle": (
        circles,
        "config/schema.py",
        "def f():\n    from evagan_plugin.config.loading import build_config",
        "evagan_plugin.config.schema (line {line}) -> evagan_plugin.config.loading",
    ),
    "a circle for types": (
        circles,
        "config/schema.py",
        "import typing\nif typing.TYPE_CHECKING:\n    from evagan_plugin.config.loading import build_config",
        "evagan_plugin.config.schema (line {line}) -> evagan_plugin.config.loading",
    ),
    "a host where no host is": (
        host_imports,
        "training/gan.py",
        "def f():\n    from espnet2.train import trainer",
        "evagan_plugin.training.gan (line {line}) imports espnet2.train: that is for espnet",
    ),
    "another host": (
        host_imports,
        "espnet/export.py",
        "import TTS.utils.io",
        "evagan_plugin.espnet.export (line {line}) imports TTS.utils.io: that is for coqui",
    ),
    "a relative import": (
        relative_imports,
        "audio/mel.py",
        "from . import io",
        "evagan_plugin.audio.mel (line {line}) has a relative import",
    ),
    "a room that nobody knows": (
        unknown_parts,
        "helpers/stuff.py",
        "",
        "evagan_plugin.helpers has no place in ORDER",
    ),
    "a folder that says nothing": (
        unexplained_folders,
        "listening/more/stuff.py",
        "",
        "evagan_plugin/listening/more has no __init__.py that says what it is for",
    ),
    "a module at the root": (unknown_parts, "stuff.py", "", "evagan_plugin.stuff has no place in ORDER"),
}
"""What is added to which file, and what the rule says."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_rule_sees_a_fault(fault, tmp_path):
    rule, name, code, message = FAULTS[fault]
    package = tmp_path / PACKAGE.name
    shutil.copytree(PACKAGE, package, ignore=lambda folder, names: {n for n in names if n.endswith((".pyc", ".wav"))})
    before = set(rule(package))
    path = package / name
    path.parent.mkdir(exist_ok=True)
    source = path.read_text(encoding="utf-8") + "\n" if path.exists() else ""
    path.write_text(source + code, encoding="utf-8")
    line = len((source + code).splitlines())
    [found] = set(rule(package)) - before
    assert message.format(line=line) in found, found
