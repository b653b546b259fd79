"""Registration: what stands in ESPnet's tables, and what is said where ESPnet is not as expected."""

import importlib
import os
import subprocess
import sys
import types
import warnings

import pytest

from evagan_plugin.errors import EvaganError
from evagan_plugin.espnet import register
from evagan_plugin.espnet.register import HOOKS, TESTED_VERSIONS, installed_version, registered, run_hook
from evagan_plugin.espnet.tts.joint import JointDiscriminator, JointGenerator

register()


def test_the_tables_of_joint_training_hold_the_classes():
    joint = importlib.import_module("espnet2.gan_tts.joint.joint_text2wav")
    assert joint.AVAILABLE_VOCODER["eva_gan"] is JointGenerator
    assert joint.AVAILABLE_VOCODER["eva_gan_generator"] is JointGenerator
    for name in ("joint.joint_text2wav", "vits.vits", "jets.jets"):
        table = importlib.import_module(f"espnet2.gan_tts.{name}").AVAILABLE_DISCRIMINATORS
        assert table["eva_gan_discriminator"] is JointDiscriminator


@pytest.mark.parametrize("task", ["gan_tts", "tts"])
def test_both_tasks_know_the_models(task):
    choices = importlib.import_module(f"espnet2.tasks.{task}").tts_choices
    for name in ("eva_gan_joint", "eva_gan_vits", "eva_gan_jets"):
        assert name in choices.choices()
        assert issubclass(choices.get_class(name), choices.base_type)
    assert f"espnet2.tasks.{task}.tts_choices" in registered


def test_what_espnet_had_is_left_as_it_was():
    joint = importlib.import_module("espnet2.gan_tts.joint.joint_text2wav")
    assert joint.AVAILABLE_VOCODER["hifigan_generator"].__module__ == "espnet2.gan_tts.hifigan.hifigan"
    choices = importlib.import_module("espnet2.tasks.gan_tts").tts_choices
    assert choices.get_class("vits").__module__ == "espnet2.gan_tts.vits.vits"
    assert choices.default == "vits"


def test_registering_again_changes_nothing():
    tts = importlib.import_module("espnet2.tasks.tts")
    before = tts.TTSTask.__dict__["build_vocoder_from_file"]
    register()
    assert tts.TTSTask.__dict__["build_vocoder_from_file"] is before


@pytest.mark.parametrize(
    ("module", "lacking"),
    [
        ("espnet2.gan_tts.joint.joint_text2wav", "AVAILABLE_VOCODER"),
        ("espnet2.gan_tts.espnet_model", "ESPnetGANTTSModel.__init__"),
        ("espnet2.tasks.tts", "tts_choices"),
        ("espnet2.tasks.svs", "SVSTask.build_vocoder_from_file"),
        ("espnet2.tasks.s2st", "S2STTask.build_vocoder_from_file"),
        ("espnet2.bin.tts_inference", "Text2Speech.__init__"),
    ],
)
def test_a_version_without_a_hook_point_is_refused_by_name(module, lacking):
    with pytest.raises(EvaganError) as caught:
        HOOKS[module](types.ModuleType(module))
    message = str(caught.value)
    assert f"has no {module}.{lacking}" in message
    assert TESTED_VERSIONS[0] in message
    assert "EVAGAN_PLUGIN_AUTOLOAD=0" in message
    assert "\n" not in message


@pytest.fixture
def future_espnet(tmp_path):
    """Run ``import espnet2.tasks.svs`` with an ESPnet of the year 2099, of which a file at a time can be written."""
    metadata = tmp_path / "espnet-209901.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: espnet\nVersion: 209901\n")

    def run(files: dict[str, str]) -> list[str]:
        for name, text in {"__init__.py": "", "tasks/__init__.py": "", **files}.items():
            path = tmp_path / "espnet2" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run(
            [sys.executable, "-c", "import espnet2.tasks.svs"],
            env={**os.environ, "EVAGAN_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr.splitlines()

    return run


def test_a_program_of_a_changed_host_ends_with_one_warning_and_one_line(future_espnet):
    lines = future_espnet({"tasks/svs.py": "class SVSTask: pass"})
    warnings_ = [line for line in lines if "UserWarning: evagan-plugin was tested with ESPnet" in line]
    assert len(warnings_) == 1
    assert warnings_[0].endswith("; this is 209901")
    assert lines[-1].startswith(
        "evagan: error: EVA-GAN cannot be registered: ESPnet 209901 is not as expected at espnet2.tasks.svs: "
        "No module named 'espnet2.tts'. evagan-plugin was tested with "
    )


def test_a_name_that_ours_is_built_on_and_that_is_gone_is_named(monkeypatch):
    def hook(module):
        raise ImportError("cannot import name 'JointText2Wav' from 'espnet2.gan_tts'", name="espnet2.gan_tts")

    monkeypatch.setitem(HOOKS, "a_module", hook)
    with pytest.raises(EvaganError, match="not as expected at a_module: cannot import name 'JointText2Wav'"):
        run_hook(types.ModuleType("a_module"))


def test_a_package_of_others_that_is_missing_is_not_blamed_on_espnet(monkeypatch):
    monkeypatch.setitem(HOOKS, "a_module", lambda module: importlib.import_module("a_package_that_is_not_there"))
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        run_hook(types.ModuleType("a_module"))


@pytest.fixture
def version_of_espnet(monkeypatch):
    def pretend(text: str) -> None:
        # The package's attribute of this name is the function.
        monkeypatch.setattr(sys.modules["evagan_plugin.espnet.register"], "version", lambda name: text)
        installed_version.cache_clear()

    yield pretend
    installed_version.cache_clear()


def test_an_untested_version_is_warned_of_once(version_of_espnet):
    version_of_espnet("209901")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        installed_version()
        installed_version()
    assert [str(one.message) for one in caught] == [
        f"evagan-plugin was tested with ESPnet {', '.join(TESTED_VERSIONS)}; this is 209901"
    ]


def test_a_tested_version_is_not_warned_of(version_of_espnet):
    version_of_espnet(f"{TESTED_VERSIONS[0]}.post2")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert installed_version() == TESTED_VERSIONS[0]
