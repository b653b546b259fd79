"""The hook at interpreter start: cheap, silent, switched off by the environment, and in time for the hosts."""

import importlib
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evagan_plugin import autoload
from evagan_plugin.autoload import AliasFinder, HostFinder, alias_modules, install, is_installed

PTH = Path(autoload.__file__).with_name("evagan_plugin.pth")
HEAVY = ("wrapt", "torch", "numpy", "importlib.metadata", "espnet2", "TTS")


def interpreter(code: str, *options: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Write modules below a folder that is on the path; forget them and all finders afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = set(sys.modules)

    def write(sources: dict[str, str]) -> None:
        for name, source in sources.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_new_interpreter_waits_for_the_hosts_and_has_loaded_nothing():
    code = f"import sys; print('evagan_plugin.autoload' in sys.modules, [m for m in {HEAVY!r} if m in sys.modules])"
    done = interpreter(code)
    assert done.stdout.strip() == "True []"
    assert done.stderr == ""


def test_it_loads_nothing_but_itself_and_importlib():
    code = f"import sys, site; before = set(sys.modules); exec({PTH.read_text()!r}); print(*set(sys.modules) - before)"
    # Without site, which would have run the line before. What it costs: python -m evagan_plugin.benchmark start
    done = interpreter(code, "-S", PYTHONPATH=str(Path(autoload.__file__).parents[1]))
    loaded = {name for name in done.stdout.split() if not name.startswith("importlib")}
    assert loaded <= {"evagan_plugin", "evagan_plugin.autoload", "warnings"}


def test_the_environment_switches_it_off():
    code = "import sys; from evagan_plugin.autoload import is_installed; print(is_installed())"
    assert interpreter(code, EVAGAN_PLUGIN_AUTOLOAD="0").stdout.strip() == "False"
    assert interpreter(code, EVAGAN_PLUGIN_AUTOLOAD="1").stdout.strip() == "True"


def test_where_it_is_off_a_host_that_fails_is_explained_once(tmp_path):
    (tmp_path / "espnet2.py").write_text("")
    code = "import sys; import evagan_plugin.autoload as a; a.install(); {}; raise {}"
    unknown = "KeyError: 'eva_gan'"
    for before, failure, explained in (
        ("import espnet2", unknown, True),
        ("import json", unknown, False),
        ("import espnet2", "RuntimeError: out of memory", False),
    ):
        kind, _, message = failure.partition(": ")
        done = subprocess.run(
            [sys.executable, "-c", code.format(before, f"{kind}({message.strip(chr(39))!r})")],
            env={**os.environ, "EVAGAN_PLUGIN_AUTOLOAD": "0", "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        *_, error = [line for line in done.stderr.splitlines() if not line.startswith("EVAGAN_PLUGIN_AUTOLOAD=0: ")]
        assert error == failure
        reminders = [line for line in done.stderr.splitlines() if line.startswith("EVAGAN_PLUGIN_AUTOLOAD=0: ")]
        assert (
            reminders
            == [
                "EVAGAN_PLUGIN_AUTOLOAD=0: espnet2 does not know EVA-GAN; unset it, or call "
                "evagan_plugin.espnet.register()"
            ]
            * explained
        )


def test_spawned_workers_wait_for_the_hosts_too():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(is_installed)


def test_it_is_silent_where_the_package_is_gone():
    line = PTH.read_text()
    assert line.count("\n") == 1
    assert line.startswith("import ")
    done = interpreter(f"import sys; sys.path = sys.path[:2]; exec({line!r}); print('alive')", "-S", "-I")
    assert done.stdout.strip() == "alive"
    assert done.stderr == ""


def test_installing_twice_changes_nothing(modules, monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [f for f in sys.meta_path if not isinstance(f, HostFinder | AliasFinder)])
    monkeypatch.delenv(autoload.SWITCH, raising=False)
    assert not is_installed()
    install()
    once = list(sys.meta_path)
    install()
    assert is_installed()
    assert sys.meta_path == once


def test_a_host_is_registered_with_once_and_before_its_own_code_runs(modules):
    modules(
        {
            "a_registrar.py": "calls = []\ndef register():\n    calls.append(1)\n    import a_host",
            "a_host.py": "import a_registrar\nseen = list(a_registrar.calls)",
        }
    )
    sys.meta_path.insert(0, HostFinder({"a_host": "a_registrar"}))
    assert importlib.import_module("a_host").seen == [1]
    del sys.modules["a_host"]
    assert importlib.import_module("a_host").seen == [1]


def test_an_alias_is_the_same_module_under_both_names(modules):
    modules({"b_host/__init__.py": "", "b_ours.py": "class Model: pass"})
    alias_modules({"b_host.models.eva": "b_ours", "b_host.eva": "b_ours"})
    alias = importlib.import_module("b_host.eva")
    assert alias is importlib.import_module("b_ours")
    assert alias.__name__ == "b_ours"
    assert importlib.import_module("b_host").eva is alias


def test_a_module_of_the_host_wins_over_an_alias(modules):
    modules({"c_host/__init__.py": "", "c_host/eva.py": "whose = 'theirs'", "c_ours.py": "whose = 'ours'"})
    alias_modules({"c_host.eva": "c_ours"})
    assert importlib.import_module("c_host.eva").whose == "theirs"


def test_a_missing_dependency_is_not_taken_for_a_missing_model(modules):
    modules({"d_host/__init__.py": "", "d_ours.py": "import a_package_that_is_not_there"})
    alias_modules({"d_host.eva": "d_ours"})
    with pytest.raises(ImportError, match="a_package_that_is_not_there") as caught:
        importlib.import_module("d_host.eva")
    assert not isinstance(caught.value, ModuleNotFoundError)
    assert "d_host.eva" not in sys.modules
