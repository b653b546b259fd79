"""The dependency rule, read from the imports, and what importing the package loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "evagan_plugin"
HOSTS = {"espnet", "espnet2", "TTS", "trainer"}
CORE = {
    "errors", "files", "progress", "schema", "config", "mel", "activated", "context", "upsampler", "generator",
    "discriminators", "losses", "gan", "checkpoint", "vocoder", "audio", "convert", "device", "external", "hub",
    "inspection", "weights",
}  # fmt: skip
PURE = {"errors", "schema", "config", "mel", "activated", "context", "upsampler", "generator", "files", "weights"}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        yield name, path


def imports(path: Path) -> set[str]:
    """Return every module that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part(module: str) -> str | None:
    """Return the part of the house that a module name lies in."""
    pieces = module.split(".")
    return pieces[1] if pieces[0] == "evagan_plugin" and len(pieces) > 1 else None


def test_the_core_knows_no_host_and_no_adapter():
    for name, path in modules():
        if part(name) in CORE:
            found = imports(path)
            assert not {i.split(".")[0] for i in found} & HOSTS, name
            assert not {part(i) for i in found} & {"espnet", "coqui", "cli", "listening", "metrics"}, name


def test_what_is_below_does_not_import_what_is_above():
    for name, path in modules():
        if part(name) in PURE:
            assert not {part(i) for i in imports(path)} & {
                "gan",
                "vocoder",
                "checkpoint",
                "losses",
                "discriminators",
            }, name


def test_hosts_do_not_know_each_other_and_nothing_imports_the_cli():
    for name, path in modules():
        found = {part(i) for i in imports(path)}
        if part(name) == "espnet":
            assert "coqui" not in found, name
        if part(name) == "coqui":
            assert "espnet" not in found, name
        if part(name) != "cli":
            assert "cli" not in found, name


@pytest.mark.parametrize(
    "module", ["evagan_plugin", "evagan_plugin.training.gan", "evagan_plugin.inference.vocoder", "evagan_plugin.cli"]
)
def test_importing_loads_no_host_and_nothing_optional(module):
    optional = {
        "espnet",
        "espnet2",
        "TTS",
        "trainer",
        "librosa",
        "matplotlib",
        "pesq",
        "torchcrepe",
        "auraloss",
        "fastapi",
    }
    code = f"import sys, {module}; print(sorted({optional!r} & set(sys.modules)), 'torch' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.startswith("[] ")
    if module in ("evagan_plugin", "evagan_plugin.cli"):
        assert loaded.strip() == "[] False"


def test_public_names_are_there():
    import evagan_plugin

    for name in evagan_plugin.__all__:
        assert getattr(evagan_plugin, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        evagan_plugin.nothing  # noqa: B018
