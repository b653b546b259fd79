"""What is checked of the checkpoints that a run goes on from or begins with, before ESPnet starts."""

import argparse
import inspect
import logging
import os
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from espnet2.tasks.abs_task import optim_classes, scheduler_classes

from evagan_plugin.checkpoint.native import check_same_config
from evagan_plugin.checkpoint.tensors import read_weights
from evagan_plugin.config import VocoderConfig, build_config, config_difference, config_to_dict, read_settings
from evagan_plugin.config.parts import DISCRIMINATORS
from evagan_plugin.errors import ConfigError, EvaganError, UsageError
from evagan_plugin.utils.files import atomic_path

logger = logging.getLogger(__name__)

OPTIMIZATION = tuple(
    f"{option}{suffix}{part}" for suffix in ("", "2") for option in ("optim", "scheduler") for part in ("", "_conf")
)
"""Options whose effect is kept in a checkpoint."""
DATA = tuple(
    f"{split}_{kind}" for split in ("train", "valid") for kind in ("data_path_and_name_and_type", "shape_file")
)
"""Options that say what is trained and validated on."""
WAYS_TO_COMPUTE = ("foreach", "fused")
"""Settings of an optimizer that change its speed alone."""


def check_resume(args: argparse.Namespace, config: VocoderConfig) -> None:
    """Check that a run goes on with the data, the model, the losses and the optimization that its checkpoint has.

    Raises:
        ConfigError: One line that says what differs and what to do.
        EvaganError: If the checkpoint is damaged.
    """
    checkpoint = Path(args.output_dir) / "checkpoint.pth"
    if not args.resume or not checkpoint.exists():
        return
    _check_whole(checkpoint)
    _check_same_data(args, checkpoint)
    theirs = _check_same(args, config, checkpoint)
    _check_same_optimization(args, checkpoint)
    if theirs is None:
        return
    parts = ({"discriminators": config_to_dict(one)["discriminators"]} for one in (config, theirs))
    if lines := config_difference(*parts):
        raise ConfigError(f"{checkpoint} is of another configuration: {'; '.join(lines)}")
    if config.weights.keys() != theirs.weights.keys() or (config.balancer is None) != (theirs.balancer is None):
        raise ConfigError(
            f"{checkpoint} was trained on the losses {', '.join(theirs.weights)} (balancer "
            f"{'off' if theirs.balancer is None else 'on'}), the config has {', '.join(config.weights)} (balancer "
            f"{'off' if config.balancer is None else 'on'})"
        )


def _check_same_data(args: argparse.Namespace, checkpoint: Path) -> None:
    """Compare the data of a run that is resumed with ours: other data is another training."""
    path = checkpoint.parent / "config.yaml"
    settings = read_settings(path) if path.is_file() else {}
    ours, theirs = (
        {name: _places(options[name]) for name in DATA if name in settings} for options in (vars(args), settings)
    )
    differing = [name for name in ours if _real(ours[name]) != _real(theirs[name])]
    if differing:
        lines = config_difference(*({name: " ".join(data[name]) for name in differing} for data in (ours, theirs)))
        raise ConfigError(
            f"{checkpoint} was trained on other data: {'; '.join(lines)}; choose another --output_dir (--init_param "
            f"{checkpoint.with_name('latest.pth')} begins with its weights), or resume with the same data"
        )


def _places(sources: Collection[str | Collection[str]] | None) -> list[str]:
    """Return ``PATH,NAME,TYPE`` of data, or the paths of shape files."""
    return [source if isinstance(source, str) else ",".join(source) for source in sources or ()]


def _real(sources: Collection[str]) -> list[tuple[str, ...]]:
    """Return the same with paths that are equal where they lead to one file."""
    parts = [source.split(",") for source in sources]
    return sorted((os.path.realpath(path), *rest) for path, *rest in parts)


def _check_same_optimization(args: argparse.Namespace, checkpoint: Path) -> None:
    """Compare the optimization of a run that is resumed with ours; with ``--reset_optim`` ours takes its place."""
    path = checkpoint.parent / "config.yaml"
    settings = read_settings(path) if path.is_file() else {}
    known = [name for name in OPTIMIZATION if name in settings]
    lines = config_difference(_effective({name: getattr(args, name) for name in known}), _effective(settings, known))
    if not lines:
        return
    if not args.reset_optim:
        raise ConfigError(
            f"{checkpoint} was trained with another optimization: {'; '.join(lines)}; set these back, or take the new "
            "ones with --reset_optim true"
        )
    states = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    with atomic_path(checkpoint) as temporary:
        # ESPnet loads as many states as there are.
        torch.save(states | {"optimizers": [], "schedulers": []}, temporary)
    logging.warning("new optimizers and schedulers (--reset_optim): %s", "; ".join(lines))


def _effective(settings: Mapping[str, Any], known: Collection[str] | None = None) -> dict[str, Any]:
    """Return options of optimizers and schedulers with what PyTorch takes where they say nothing, as YAML has them."""
    found = {name: settings[name] for name in known or settings}
    for kind, classes in {"optim": optim_classes, "scheduler": scheduler_classes}.items():
        for name in (kind, f"{kind}2"):
            if f"{name}_conf" not in found:
                continue
            parameters = inspect.signature(classes[found[name]]).parameters if found.get(name) in classes else {}
            defaults = {
                key: one.default for key, one in parameters.items() if one.default is not inspect.Parameter.empty
            }
            values = defaults | dict(found[f"{name}_conf"] or {})
            found[f"{name}_conf"] = {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in values.items()
                if key not in WAYS_TO_COMPUTE
            }
    return found


def check_init_params(args: argparse.Namespace, config: VocoderConfig) -> None:
    """Check the checkpoints of ``--init_param``, and say if they leave the discriminators as they are.

    Raises:
        EvaganError: One line that says what is wrong.
    """
    loaded: set[str] = set()
    for option in args.init_param:
        name, _, rest = option.partition(":")
        path, wanted = Path(name), rest.partition(":")[0]
        if not path.is_file():
            raise UsageError(f"--init_param: there is no file {path}")
        _check_whole(path)
        if not args.ignore_init_mismatch:
            _check_same(args, config, path)
        loaded |= {name for name in read_weights(path) if name.startswith(wanted)}
    if args.init_param and not any(name.startswith(DISCRIMINATORS) for name in loaded):
        logger.warning("%s has no discriminators: they start anew", " and ".join(args.init_param))


def _check_whole(checkpoint: Path) -> None:
    if not zipfile.is_zipfile(checkpoint):
        raise EvaganError(f"{checkpoint} is truncated or not a checkpoint of PyTorch: restore it or move it away")


def _check_same(args: argparse.Namespace, config: VocoderConfig, checkpoint: Path) -> VocoderConfig | None:
    """Compare a checkpoint's config, if it lies beside it, with ours and return it."""
    path = checkpoint.parent / "config.yaml"
    settings = read_settings(path) if path.is_file() else {}
    if "vocoder_conf" not in settings:
        return None
    if settings.get("vocoder") != args.vocoder:
        raise ConfigError(f"{checkpoint} is of vocoder: {settings.get('vocoder')}, the config says {args.vocoder}")
    try:
        theirs = build_config(settings["vocoder_conf"])
    except ConfigError as error:
        raise error.within(f"{path}: vocoder_conf") from None
    check_same_config(config, theirs, checkpoint)
    return theirs
