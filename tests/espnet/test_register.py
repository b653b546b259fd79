"""Registration: what stands in ESPnet's tables, and what is said where ESPnet is not as expected."""

import importlib
import sys
import types
import warnings

import pytest

from evagan_plugin.errors import EvaganError
from evagan_plugin.espnet import register
from evagan_plugin.espnet.joint import JointDiscriminator, JointGenerator
from evagan_plugin.espnet.register import HOOKS, TESTED_VERSIONS, installed_version, registered

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
