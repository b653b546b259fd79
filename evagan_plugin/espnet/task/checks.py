"""What is checked before ESPnet starts."""

import argparse
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from espnet2.tasks.abs_task import optim_classes, scheduler_classes
from espnet2.train.distributed_utils import (
    DistributedOption,
    get_node_rank,
    get_num_nodes,
    get_rank,
    resolve_distributed_mode,
)
from espnet2.utils.build_dataclass import build_dataclass

from evagan_plugin.config import VocoderConfig
from evagan_plugin.errors import ConfigError, UsageError
from evagan_plugin.espnet.task.checkpoint_checks import check_init_params, check_resume
from evagan_plugin.espnet.task.data_checks import check_data
from evagan_plugin.espnet.task.listening import check_listening
from evagan_plugin.model.vocos import VocosGenerator
from evagan_plugin.utils.files import atomic_path
from evagan_plugin.utils.lock import locked

PROBE_BYTES = 2**20
"""What must fit into the output directory at the start."""
PATIENCE = 6.0
"""Seconds to wait for the end of another training: a data loader's workers outlive one that was killed by so much."""
ONE_CYCLE = "onecyclelr"
"""The one scheduler that cannot go on after its last step."""

UNSUPPORTED = {
    "accum_grad": (1, "ESPnet's GAN trainer cannot accumulate gradients: use a smaller batch_size"),
    "use_amp": (False, "float16 is unstable here: set vocoder_conf.training.bf16 instead"),
    "grad_noise": (False, "ESPnet's GAN trainer has no gradient noise"),
    "skip_discriminator_prob": (0.0, "ESPnet has it for codecs only"),
    "train_dtype": ("float32", "use float32, with vocoder_conf.training.bf16 to save memory"),
    "iterator_type": ("task", "the vocoder task cuts its own segments"),
    "valid_iterator_type": (None, "the vocoder task cuts its own segments"),
    "multiple_iterator": (False, "the vocoder task reads one wav.scp"),
    "multi_task_dataset": (False, "the vocoder task reads one wav.scp"),
    "collect_stats": (False, "the vocoder task needs no statistics: go on to training"),
    "sharded_ddp": (False, "use --multiprocessing_distributed true"),
    "use_deepspeed": (False, "use --multiprocessing_distributed true"),
    "use_adapter": (False, "the generator has no adapters"),
}
"""Options of ESPnet that do not work with GANs or have no meaning here: the only value they may have, and why."""


def check_options(args: argparse.Namespace, config: VocoderConfig) -> None:
    """Check the options of a run (raises :class:`UsageError`)."""
    _check_options(args, config)
    _check_optimization(args)
    _check_distributed(args)


def check_files(args: argparse.Namespace, config: VocoderConfig) -> None:
    """Check data, output directory, checkpoints and listening test of a run.

    Raises:
        EvaganError: One line that says what is wrong, where, and what to do.
    """
    if not _is_first(args):
        return
    _check_output(Path(args.output_dir))
    check_resume(args, config)
    check_init_params(args, config)
    check_data(args, config)
    check_listening(args)


def only_training(args: argparse.Namespace) -> AbstractContextManager[None]:
    """Keep other trainings out of the output directory (raises :class:`EvaganError` if one is in it)."""
    return locked(args.output_dir, PATIENCE) if _is_first(args) else nullcontext()


def _is_first(args: argparse.Namespace) -> bool:
    """Whether this is the first process of an outside launcher such as torchrun or srun, which speaks for all."""
    rank_of = get_node_rank if args.dist_launcher == "mpi" else get_rank
    return not rank_of(args.dist_rank, args.dist_launcher)


def _check_options(args: argparse.Namespace, config: VocoderConfig) -> None:
    for name, (only, reason) in UNSUPPORTED.items():
        if getattr(args, name) != only:
            raise UsageError(f"--{name} {getattr(args, name)} cannot be used: {reason}")
    if args.vocoder == "vocos":
        with torch.device("meta"):  # its section and its package are missed before the data is read
            VocosGenerator.from_config(config)
    elif channels := config.own_generator.global_channels:
        raise ConfigError(
            f"vocoder_conf: generator.global_channels {channels}: a stand-alone vocoder has no "
            "global condition; it is for joint training with an acoustic model"
        )
    available = torch.cuda.device_count()
    if args.ngpu > available:
        raise UsageError(f"--ngpu {args.ngpu}, but PyTorch finds {available} GPU(s): choose --ngpu {available}")
    if args.ngpu > 1 and not args.multiprocessing_distributed:
        raise UsageError(f"--ngpu {args.ngpu} needs --multiprocessing_distributed true (one process per GPU)")


def _check_distributed(args: argparse.Namespace) -> None:
    """Let ESPnet work out number and ranks of the processes, as it will do: what it refuses is said in one line."""
    args = argparse.Namespace(**vars(args))
    environment = dict(os.environ)
    try:
        resolve_distributed_mode(args)
        if not torch.distributed.is_backend_available(args.dist_backend):
            raise ValueError(f"--dist_backend {args.dist_backend} is not in this PyTorch: gloo, or nccl for GPUs")
        if not (args.distributed and args.multiprocessing_distributed):
            build_dataclass(DistributedOption, args).init_options()
        elif (nodes := get_num_nodes(args.dist_world_size, args.dist_launcher)) > 1:
            rank = get_node_rank(args.dist_rank, args.dist_launcher)
            if not 0 <= rank < nodes:
                raise ValueError(f"RANK >= WORLD_SIZE: {rank} >= {nodes}")
        if args.distributed and (args.dist_rank or 0) < 0:
            raise ValueError(f"--dist_rank {args.dist_rank}: ranks count from 0")
    except (ImportError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UsageError(f"distributed training: {' '.join(str(error).split())}") from error
    finally:
        os.environ.clear()
        os.environ.update(environment)


def _check_optimization(args: argparse.Namespace) -> None:
    """Build optimizers and schedulers on a parameter of nothing: their settings are only checked by use."""
    for suffix in ("", "2"):
        settings = {}
        for option in ("optim", "scheduler"):
            settings[option] = getattr(args, f"{option}{suffix}_conf") or {}
            for key, value in settings[option].items():
                if isinstance(value, str) and _is_number(value):
                    raise ConfigError(
                        f"{option}{suffix}_conf.{key}: YAML takes {value} for text; write {_yaml_number(value)}"
                    )
        scheduler = getattr(args, f"scheduler{suffix}")
        where = f"optim{suffix}_conf"
        try:
            optimizer = optim_classes[getattr(args, f"optim{suffix}")](
                [torch.nn.Parameter(torch.zeros(1))], **settings["optim"]
            )
            where = f"scheduler{suffix}_conf"
            if scheduler is not None:
                built = scheduler_classes[scheduler](optimizer, **settings["scheduler"])
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{where}: {error}") from error
        steps = (args.num_iters_per_epoch or 0) * args.max_epoch
        if scheduler == ONE_CYCLE and built.total_steps < steps:
            raise ConfigError(
                f"{where}: {ONE_CYCLE} ends after {built.total_steps} steps, the training after {steps}, which is "
                "max_epoch times num_iters_per_epoch: leave total_steps out, or make it as many"
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _yaml_number(text: str) -> str:
    mantissa, _, exponent = text.lower().partition("e")
    return f"{float(mantissa)}e{exponent}" if exponent else text


def _check_output(directory: Path) -> None:
    probe = directory / ".probe"
    with atomic_path(probe) as temporary:
        temporary.write_bytes(bytes(PROBE_BYTES))
    probe.unlink()
    for unfinished in directory.glob(".*.part.pth"):  # of a run that was killed while it wrote
        unfinished.unlink()
