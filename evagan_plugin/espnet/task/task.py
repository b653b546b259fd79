"""The vocoder task of ESPnet: ``vocoder:`` and ``vocoder_conf:`` in a config, ``wav.scp`` in, a trained vocoder out."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from espnet2.iterators.sequence_iter_factory import SequenceIterFactory
from espnet2.tasks.abs_task import AbsTask, IteratorOptions, optim_classes
from espnet2.torch_utils.safe_torch_load import safe_torch_load
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str2bool
from torch.multiprocessing import ProcessExitedException

from evagan_plugin.config import OptimizationConfig, VocoderConfig, build_config, config_to_dict
from evagan_plugin.data.kaldi import read_table
from evagan_plugin.data.segments import SegmentCrop, stack
from evagan_plugin.data.stream_items import StreamDataset
from evagan_plugin.errors import ConfigError, one_line_errors
from evagan_plugin.espnet.export import espnet_init_param
from evagan_plugin.espnet.task.checks import ONE_CYCLE, check_files, check_options, only_training
from evagan_plugin.espnet.task.data import MIX, SegmentDataset, SegmentSampler, StreamSampler
from evagan_plugin.espnet.task.failures import host_errors
from evagan_plugin.espnet.task.listening import add_listening_arguments
from evagan_plugin.espnet.task.model import GENERATOR_BUILDERS, ESPnetVocoderModel
from evagan_plugin.espnet.task.trainer import VocoderTrainer, whole_checkpoints
from evagan_plugin.training.gan import GANVocoder
from evagan_plugin.utils.stop import Stop

PROGRAM = "vocoder_train"
DEFAULTS = OptimizationConfig()
OPTIM = DEFAULTS.optimizer.lower()
OPTIM_CONF = {
    "lr": DEFAULTS.learning_rate,
    "betas": list(DEFAULTS.betas),
    "weight_decay": DEFAULTS.weight_decay,
    "fused": DEFAULTS.fused,
}
SCHEDULER = "exponentiallr"
SCHEDULER_CONF = {"gamma": DEFAULTS.lr_decay}


class VocoderTask(AbsTask):
    """Trains the generator and the discriminators of a :class:`GANVocoder` with ESPnet's ``GANTrainer``."""

    num_optimizers = 2
    trainer = VocoderTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options of the task, and defaults of ESPnet's options that suit it."""
        group = parser.add_argument_group("Vocoder")
        builders = sorted(GENERATOR_BUILDERS)
        group.add_argument("--vocoder", default="eva_gan", choices=builders, help="The generator to train")
        group.add_argument(
            "--vocoder_conf",
            action=NestedDictAction,
            default={},
            help="preset: NAME, and fields that override it (see `evagan info`)",
        )
        group.add_argument(
            "--keep_steps",
            type=int,
            default=0,
            help="Keep a checkpoint, STEPSsteps.pth, and save all that resuming needs, after each so many steps",
        )
        group.add_argument(
            "--reset_optim",
            type=str2bool,
            default=False,
            help="Resume with new optimizers and schedulers where the config says others than the checkpoint has",
        )
        add_listening_arguments(parser)
        parser.set_defaults(
            iterator_type="task",
            batch_size=DEFAULTS.batch_size,
            generator_first=False,
            grad_clip=DEFAULTS.grad_clip,
            unused_parameters=True,
            use_tf32=True,
            cudnn_benchmark=True,
            cudnn_deterministic=False,
            num_att_plot=3,
            max_epoch=1000,
            resume=True,
            keep_nbest_models=[5],
            best_model_criterion=[["valid", "mel", "min"]],
            early_stopping_criterion=["valid", "mel", "min"],
            val_scheduler_criterion=["valid", "mel"],
        )
        for suffix in ("", "2"):
            parser.set_defaults(
                **{
                    f"optim{suffix}": OPTIM,
                    f"optim{suffix}_conf": OPTIM_CONF,
                    f"scheduler{suffix}": SCHEDULER,
                    f"scheduler{suffix}_conf": SCHEDULER_CONF,
                }
            )

    @classmethod
    def main(cls, args: argparse.Namespace | None = None, cmd: Sequence[str] | None = None) -> None:
        """Check all that can be checked, then train; a user's mistake ends in one line and exit status 1 or 2."""
        with one_line_errors(PROGRAM), host_errors(None):
            if args is None:
                args = cls.get_parser().parse_args(cmd)
            if not args.print_config and args.output_dir is not None:
                complete_optimization(args)
                config = vocoder_config(args)
                check_options(args, config)
                with only_training(args):
                    started = Path(args.output_dir) / "init"
                    args.init_param = [
                        espnet_init_param(option, started / str(number), config.discriminators)
                        for number, option in enumerate(args.init_param)
                    ]
                    check_files(args, config)
                    cls._train(args)
            else:
                cls._train(args)

    @classmethod
    def _train(cls, args: argparse.Namespace) -> None:
        try:
            super().main(args)
        except ProcessExitedException as error:
            # A worker of --multiprocessing_distributed has said its line and chosen the status.
            raise SystemExit(error.exit_code) from error

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """Train in this process."""
        with one_line_errors(PROGRAM), host_errors(args.output_dir), whole_checkpoints(), Stop.scope():
            super().main_worker(args)
        if torch.distributed.is_initialized():
            # Left to the end of the interpreter, gloo's threads can abort a worker that has done its work.
            torch.distributed.destroy_process_group()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetVocoderModel:
        """Build the model of ``args.vocoder`` and ``args.vocoder_conf``; the latter becomes the whole config."""
        config = vocoder_config(args)
        args.vocoder_conf = config_to_dict(config)
        return ESPnetVocoderModel(GANVocoder(config, GENERATOR_BUILDERS[args.vocoder](config)))

    @classmethod
    def build_model_from_file(
        cls, config_file: str | Path | None = None, model_file: str | Path | None = None, device: str = "cpu"
    ) -> tuple[ESPnetVocoderModel, argparse.Namespace]:
        """Build the model of an experiment; as in ESPnet, but weights that do not fit are an error."""
        with host_errors(None):
            model, args = super().build_model_from_file(config_file, model_file, device)
            if model_file is not None:
                # ESPnet takes the tensors that it finds and passes over the rest.
                model.load_state_dict(safe_torch_load(model_file, map_location=device))
        return model, args

    @classmethod
    def build_optimizers(cls, args: argparse.Namespace, model: torch.nn.Module) -> list[torch.optim.Optimizer]:
        """Return the optimizers of generator and discriminators."""
        return [
            optim_classes[args.optim](model.gan.generator.parameters(), **args.optim_conf),
            optim_classes[args.optim2](model.gan.discriminators.parameters(), **args.optim2_conf),
        ]

    @classmethod
    def required_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """Audio; at inference a vocoder starts from features."""
        return ("feats",) if inference else ("wav",)

    @classmethod
    def optional_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """Features that stand in for the mels of the audio."""
        return () if inference else ("feats",)

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> None:
        """Return None: :meth:`build_task_iter_factory` cuts utterances by epoch, which a preprocessor does not know."""
        return None

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Return what makes a batch of items."""
        return stack

    @classmethod
    def build_task_iter_factory(
        cls, args: argparse.Namespace, iter_options: IteratorOptions, mode: str
    ) -> SequenceIterFactory:
        """Return batches of stretches of utterances, by epoch."""
        config = vocoder_config(args)
        rank, world_size = 0, 1
        if iter_options.distributed:
            rank, world_size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        loading = {
            "num_workers": args.num_workers,
            "collate_fn": iter_options.collate_fn,
            "pin_memory": args.ngpu > 0,
        }
        path, _, kind = iter_options.data_path_and_name_and_type[0]
        if kind == MIX:
            dataset = StreamDataset.for_training(path, config, args.seed)
            if rank == 0:
                dataset.stream.report(iter_options.batch_size)
            batches = iter_options.num_iters_per_epoch or iter_options.num_batches
            sampler = StreamSampler(dataset.stream, iter_options.batch_size, batches, rank, world_size)
            return SequenceIterFactory(dataset=dataset, batches=sampler, **loading)
        sources = {name: path for path, name, _ in iter_options.data_path_and_name_and_type}
        utterances = list(read_table((iter_options.shape_files or [sources["wav"]])[0]))
        if iter_options.num_batches is not None:
            utterances = utterances[: iter_options.num_batches * iter_options.batch_size]
        # Rates are compared with the model's own, which says more than ESPnet's comparison of files with each other.
        iter_options.allow_multi_rates = True
        crops = {"plot_att": SegmentCrop.for_listening, "valid": SegmentCrop.for_validation}
        crop = crops.get(mode, SegmentCrop.for_training)(config)
        return SequenceIterFactory(
            dataset=SegmentDataset(cls.build_dataset(args, iter_options), crop, config.mel.sample_rate),
            batches=SegmentSampler(utterances, iter_options.batch_size, iter_options.train, rank, world_size),
            num_iters_per_epoch=iter_options.num_iters_per_epoch,
            seed=args.seed,
            **loading,
        )


def vocoder_config(args: argparse.Namespace) -> VocoderConfig:
    """Return the vocoder config of ESPnet's arguments (raises :class:`ConfigError`)."""
    try:
        return build_config(args.vocoder_conf or {})
    except ConfigError as error:
        raise error.within("vocoder_conf") from None


def complete_optimization(args: argparse.Namespace) -> None:
    """Fill in defaults beside the keys that a config gives: ESPnet's parser takes a config's dict as the whole.

    ``onecyclelr`` without a length has that of the training, which ESPnet's trainer steps it through.
    """
    for suffix in ("", "2"):
        for option, name, defaults in (("optim", OPTIM, OPTIM_CONF), ("scheduler", SCHEDULER, SCHEDULER_CONF)):
            if getattr(args, option + suffix) == name:
                conf = getattr(args, f"{option}{suffix}_conf")
                setattr(args, f"{option}{suffix}_conf", defaults | (conf or {}))
        if getattr(args, f"scheduler{suffix}") == ONE_CYCLE and args.num_iters_per_epoch:
            conf = getattr(args, f"scheduler{suffix}_conf") or {}
            if not conf.keys() & {"total_steps", "epochs"}:
                conf = {**conf, "total_steps": args.num_iters_per_epoch * args.max_epoch}
                setattr(args, f"scheduler{suffix}_conf", conf)
