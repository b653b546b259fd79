"""Registration in Coqui TTS: the only place that touches the host.

Nothing of Coqui TTS is imported here. Its two look-ups by name (a config, a model) find our modules under its names,
and its synthesizer, once imported, lets an EVA-GAN vocoder see the acoustic model that it speaks for. Its training
program finds the samples of a ``mix.yaml``.
"""

import inspect
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

from evagan_plugin.autoload import COQUI_MODULES, alias_modules
from evagan_plugin.errors import ConfigError, EvaganError, UsageError, report_uncaught
from evagan_plugin.utils.numba_cache import make_numba_cache

TESTED_VERSIONS = "0.28."
"""Versions of coqui-tts that the tests have run with begin so."""
MODEL = "eva_gan"
CONFIG = "TTS.vocoder.configs.eva_gan_config"
"""What Coqui TTS imports for a config of ``model: eva_gan``."""

_registered = False


def register() -> None:
    """Register EVA-GAN with Coqui TTS; a second call changes nothing.

    Installed packages do this by themselves when ``TTS`` is imported (see :mod:`evagan_plugin.autoload`).
    """
    global _registered
    if _registered:
        return
    _registered = True
    import wrapt  # takes a while, so not before a host is there

    report_uncaught()
    make_numba_cache()  # Coqui TTS imports librosa
    alias_modules(COQUI_MODULES)
    wrapt.register_post_import_hook(_hook_synthesizer, "TTS.utils.synthesizer")
    wrapt.register_post_import_hook(_hook_samples, "TTS.vocoder.datasets.preprocess")


def _hook_synthesizer(module: ModuleType) -> None:
    """Let the synthesizer introduce its two models to each other: by itself it compares sample rates only.

    Raises:
        EvaganError: If this Coqui TTS loads vocoders in another way.
    """
    import wrapt

    installed = _installed_version()
    if not installed.startswith(TESTED_VERSIONS):
        warnings.warn(f"evagan-plugin was tested with coqui-tts {TESTED_VERSIONS}*; this is {installed}", stacklevel=2)
    if not hasattr(module.Synthesizer, "_load_vocoder"):
        raise EvaganError(
            f"EVA-GAN cannot be registered: Synthesizer of coqui-tts {installed} has no '_load_vocoder'; "
            f"evagan-plugin was tested with {TESTED_VERSIONS}*. EVAGAN_PLUGIN_AUTOLOAD=0 runs Coqui TTS without it"
        )
    wrapt.wrap_function_wrapper(module, "Synthesizer._load_vocoder", _load_vocoder)


def _hook_samples(module: ModuleType) -> None:
    """Let Coqui's training program take a ``mix.yaml`` for ``data_path``, and say at once where it finds too few."""
    import wrapt

    for name in ("load_wav_data", "load_wav_feat_data"):
        wrapt.wrap_function_wrapper(module, name, _load_samples)


def _load_samples(wrapped: Any, module: ModuleType, args: tuple, kwargs: dict) -> Any:
    """Split recordings for evaluation and training.

    Raises:
        UsageError: If the run is ours and no recording is left for training.
    """
    given = inspect.signature(wrapped).bind(*args, **kwargs).arguments
    path, size = given["data_path"] or "", given["eval_split_size"]
    if COQUI_MODULES[CONFIG] not in sys.modules:
        return wrapped(*args, **kwargs)
    from evagan_plugin.coqui.data import check_split, load_audio_dir
    from evagan_plugin.data.mix import is_mix

    if is_mix(path) and wrapped.__name__ == "load_wav_data":
        return load_audio_dir(path, size)
    try:
        evaluation, training = wrapped(*args, **kwargs)
    except AssertionError as error:  # an empty folder, or features that do not go with the recordings
        raise UsageError(f"data_path {path}: {' '.join(str(error).removeprefix(' [!]').split())}") from error
    check_split(len(evaluation) + len(training), path, size)
    return evaluation, training


def _installed_version() -> str:
    """Return Coqui's version; a checkout or another distribution of ``TTS`` has none that is known here."""
    try:
        return version("coqui-tts")
    except PackageNotFoundError:
        return "of unknown version"


def _load_vocoder(wrapped: Any, synthesizer: Any, args: tuple, kwargs: dict) -> None:
    """Load a vocoder; if it is EVA-GAN, fit it to the acoustic model."""
    try:
        wrapped(*args, **kwargs)
    except EvaganError:
        raise
    except Exception:
        _check_config_file(*args, **kwargs)
        raise
    if synthesizer.vocoder_config.model == MODEL:
        synthesizer.vocoder_model.connect(synthesizer)


def _check_config_file(model_file: str, model_config: str, **_: object) -> None:
    """Say in one line that a checkpoint of ours has no config: Coqui TTS has not come as far as our code.

    Raises:
        ConfigError: If the config is missing or cannot be read.
    """
    from evagan_plugin.checkpoint.tensors import generator_weights, read_weights
    from evagan_plugin.config import read_settings
    from evagan_plugin.inference.exported import is_onnx

    try:
        if not is_onnx(model_file):
            generator_weights(read_weights(model_file), model_file)
    except EvaganError:
        return
    if not model_config:
        raise ConfigError(f"no config is given with {model_file}: --vocoder_config_path, the config.json beside it")
    read_settings(model_config)
