"""How Coqui TTS comes to know EVA-GAN: by itself, not at all, or by a call."""

LATE = """
import sys
import TTS.utils.synthesizer
from TTS.config import register_config

try:
    register_config("eva_gan")
except ModuleNotFoundError:
    print("unknown")
from evagan_plugin.coqui import register

register()
register()
print([name for name in ("evagan_plugin.coqui.config", "evagan_plugin.coqui.model") if name in sys.modules])
import TTS.vocoder.models.eva_gan as theirs
import evagan_plugin.coqui.model as ours
print(register_config("eva_gan").__name__, theirs is ours, theirs.EvaGan.__name__)
print(hasattr(TTS.utils.synthesizer.Synthesizer._load_vocoder, "__wrapped__"))
"""
BY_ITSELF = """
import sys
import TTS.vocoder.models
print([name for name in ("evagan_plugin.coqui.config", "evagan_plugin.coqui.model") if name in sys.modules])
from TTS.config import register_config
print(register_config("eva_gan").__name__)
"""


def test_it_can_be_switched_off_and_registered_later(program):
    done = program("-c", LATE, EVAGAN_PLUGIN_AUTOLOAD="0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == ["unknown", "[]", "EvaGanConfig True EvaGan", "True", ""]


def test_it_is_there_by_itself_and_costs_nothing_before_it_is_asked_for(program):
    done = program("-c", BY_ITSELF)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == ["[]", "EvaGanConfig", ""]
