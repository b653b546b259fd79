"""Registration in ESPnet: the only place that touches the host's tables.

Nothing of ESPnet is imported here. Each function of :data:`HOOKS` runs when ESPnet's module of that name has been
imported, by wrapt's post-import hooks.
"""

import functools
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from evagan_plugin.errors import EvaganError, report_uncaught
from evagan_plugin.utils.numba_cache import make_numba_cache

TESTED_VERSIONS = ("202611",)
"""Versions of ESPnet that the tests have run with."""

registered: dict[str, list[str]] = {}
"""What this process has put into which place of ESPnet; only modules that were imported are seen."""


@functools.cache
def register() -> None:
    """Register EVA-GAN with ESPnet, now or as soon as it is imported; a second call changes nothing.

    Installed packages do this by themselves (see :mod:`evagan_plugin.autoload`). Call it at the top level of a main
    module, so that spawned workers run it too.
    """
    import wrapt  # takes a while, so not before a host is there

    make_numba_cache()  # ESPnet imports librosa
    for name in HOOKS:
        wrapt.register_post_import_hook(run_hook, name)


def run_hook(module: ModuleType) -> None:
    """Register with a module of ESPnet that has been imported.

    Raises:
        EvaganError: If this version of ESPnet has not what is registered with, there or where ours is built on it.
    """
    report_uncaught()
    try:
        HOOKS[module.__name__](module)
    except (ImportError, AttributeError) as error:
        if isinstance(error, ImportError) and not (error.name or "").startswith("espnet2"):
            raise  # a package that has nothing to do with the version
        reason = " ".join(str(error).split())
        raise _unknown_version(f"is not as expected at {module.__name__}: {reason}") from error


@functools.cache
def installed_version() -> str:
    """Return ESPnet's version; the first call warns of one that was not tested."""
    try:
        installed = version("espnet").partition(".post")[0]
    except PackageNotFoundError:
        installed = "of unknown version"  # a checkout
    if installed not in TESTED_VERSIONS:
        warnings.warn(
            f"evagan-plugin was tested with ESPnet {', '.join(TESTED_VERSIONS)}; this is {installed}", stacklevel=2
        )
    return installed


def _insert(module: ModuleType, table: str, classes: Mapping[str, type]) -> None:
    """Put classes by name into a table of a module: a dict, or a ``ClassChoices`` that holds one."""
    place = _find(module, table)
    getattr(place, "classes", place).update(classes)
    registered[f"{module.__name__}.{table}"] = list(classes)


def _wrap(module: ModuleType, method: str, wrapper: Callable) -> None:
    """Put a function around a method ``Class.method`` of a module."""
    import wrapt

    _find(module, method)
    wrapt.wrap_function_wrapper(module, method, wrapper)
    registered[f"{module.__name__}.{method}"] = ["wrapped"]


def _find(module: ModuleType, path: str) -> object:
    """Return what a dotted path below ESPnet's module names.

    Raises:
        EvaganError: If this version of ESPnet has no such thing.
    """
    place = module
    installed_version()
    for name in path.split("."):
        if not hasattr(place, name):
            raise _unknown_version(f"has no {module.__name__}.{path}")
        place = getattr(place, name)
    return place


def _unknown_version(difference: str) -> EvaganError:
    return EvaganError(
        f"EVA-GAN cannot be registered: ESPnet {installed_version()} {difference}. evagan-plugin was tested with "
        f"{', '.join(TESTED_VERSIONS)}; EVAGAN_PLUGIN_AUTOLOAD=0 runs ESPnet without EVA-GAN"
    )


def _hook_joint(module: ModuleType, model: str) -> None:
    from evagan_plugin.espnet.tts.joint import VOCODER_NAMES, JointGenerator, complete_joint

    _insert(module, "AVAILABLE_VOCODER", dict.fromkeys(VOCODER_NAMES, JointGenerator))
    _hook_discriminators(module)
    _wrap(module, f"{model}.__init__", complete_joint)


def _hook_discriminators(module: ModuleType) -> None:
    from evagan_plugin.espnet.tts.joint import DISCRIMINATOR_NAME, JointDiscriminator

    _insert(module, "AVAILABLE_DISCRIMINATORS", {DISCRIMINATOR_NAME: JointDiscriminator})


def _hook_gan_model(module: ModuleType, model: str) -> None:
    from evagan_plugin.espnet.tts.joint import refuse_other_hop_or_rate

    _wrap(module, f"{model}.__init__", refuse_other_hop_or_rate)


def _hook_tasks(module: ModuleType) -> None:
    from evagan_plugin.espnet.tts.vits_jets import TTS_CLASSES

    _insert(module, "tts_choices", TTS_CLASSES)


def _hook_tts(module: ModuleType) -> None:
    from evagan_plugin.espnet.tts.vits_jets import load_for_inference

    _hook_tasks(module)
    _hook_vocoder(module, "TTSTask")
    _wrap(module, "TTSTask.build_model_from_file", load_for_inference)


def _hook_vocoder(module: ModuleType, task: str) -> None:
    from evagan_plugin.espnet.tts.vocoder import build_vocoder_from_file

    _wrap(module, f"{task}.build_vocoder_from_file", build_vocoder_from_file)


def _hook_inference(module: ModuleType, program: str) -> None:
    from evagan_plugin.espnet.tts.vocoder import refuse_normalized_features

    _wrap(module, f"{program}.__init__", refuse_normalized_features)


HOOKS: dict[str, Callable[[ModuleType], None]] = {
    "espnet2.gan_tts.joint.joint_text2wav": partial(_hook_joint, model="JointText2Wav"),
    "espnet2.gan_tts.vits.vits": _hook_discriminators,
    "espnet2.gan_tts.jets.jets": _hook_discriminators,
    "espnet2.gan_tts.espnet_model": partial(_hook_gan_model, model="ESPnetGANTTSModel"),
    "espnet2.gan_svs.joint.joint_score2wav": partial(_hook_joint, model="JointScore2Wav"),
    "espnet2.gan_svs.espnet_model": partial(_hook_gan_model, model="ESPnetGANSVSModel"),
    "espnet2.tasks.gan_tts": _hook_tasks,
    "espnet2.tasks.tts": _hook_tts,
    "espnet2.tasks.svs": partial(_hook_vocoder, task="SVSTask"),
    "espnet2.tasks.s2st": partial(_hook_vocoder, task="S2STTask"),
    "espnet2.bin.tts_inference": partial(_hook_inference, program="Text2Speech"),
    "espnet2.bin.svs_inference": partial(_hook_inference, program="SingingGenerate"),
    "espnet2.bin.s2st_inference": partial(_hook_inference, program="Speech2Speech"),
}
"""ESPnet's modules, and what is done to each behind its import."""
