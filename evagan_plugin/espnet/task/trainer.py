"""ESPnet's GAN trainer, with files that are never half written and with something to hear at each validation."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from espnet2.schedulers.abs_scheduler import AbsScheduler
from espnet2.torch_utils.device_funcs import to_device
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.gan_trainer import GANTrainer, GANTrainerOptions
from espnet2.train.reporter import Reporter, SubReporter, WeightedAverage, to_reported_value
from torch.utils.data import DataLoader

from evagan_plugin.espnet.task.interruption import InsideEpoch, SavingLoader, place_in, saving
from evagan_plugin.espnet.task.listening import ListeningLoop
from evagan_plugin.espnet.task.model import ESPnetVocoderModel
from evagan_plugin.evaluation.spectrograms import mel_figure
from evagan_plugin.utils.device import DEVICE_NOTE, PEAK_RSS, describe_device, peak_rss
from evagan_plugin.utils.files import atomic_path, write_text


@dataclass
class VocoderTrainerOptions(GANTrainerOptions):
    """Options of :class:`VocoderTrainer`."""

    listening: ListeningLoop | None
    keep_steps: int


class VocoderTrainer(GANTrainer):
    """``GANTrainer`` that can stop and go on inside an epoch, and whose attention plots are audio and mels."""

    place: InsideEpoch | None = None
    """Where in its epoch a resumed training goes on."""
    batches: SavingLoader
    """Of the epoch's training."""

    @classmethod
    def build_options(cls, args: argparse.Namespace) -> VocoderTrainerOptions:
        """Return the trainer's options."""
        loop = ListeningLoop(args.listen_test, args.listen_every, args.output_dir) if args.listen_test else None
        cls.place = None
        options = vars(super().build_options(args))
        return VocoderTrainerOptions(**options, listening=loop, keep_steps=args.keep_steps)

    @classmethod
    def train_one_epoch(
        cls,
        model: torch.nn.Module,
        iterator: DataLoader,
        optimizers: Sequence[torch.optim.Optimizer],
        schedulers: Sequence[AbsScheduler | None],
        scaler: None,
        reporter: SubReporter,
        summary_writer,
        options: VocoderTrainerOptions,
        distributed_option: DistributedOption,
    ) -> bool:
        """Train for an epoch, as ``GANTrainer``; note memory, device and the steps taken (for the listening test).

        What goes wrong is said where ESPnet logs the losses.
        """
        own = getattr(model, "module", model)  # without what distributes it
        _look_at_what_is_logged(reporter, own)
        _fetch_at_once(reporter)
        place, cls.place = cls.place, None
        cls.batches = saving(iterator, reporter, model, optimizers, schedulers, options, place)
        all_steps_are_invalid = super().train_one_epoch(
            model=model,
            iterator=cls.batches,
            optimizers=optimizers,
            schedulers=schedulers,
            scaler=scaler,
            reporter=reporter,
            summary_writer=summary_writer,
            options=options,
            distributed_option=distributed_option,
        )
        cls.batches.note_end()
        # One value for all steps: to register it would count as a step.
        reporter.stats[PEAK_RSS] = [to_reported_value(peak_rss() / 2**30)] * reporter.count
        if not distributed_option.distributed or distributed_option.dist_rank == 0:
            device = "cuda" if options.ngpu > 0 else "cpu"
            write_text(Path(options.output_dir) / DEVICE_NOTE, describe_device(device) + "\n")
        if options.listening is not None:
            options.listening.steps = reporter.get_total_count()
        return all_steps_are_invalid and place is None

    @classmethod
    def validate_one_epoch(
        cls,
        model: torch.nn.Module,
        iterator: DataLoader,
        reporter: SubReporter,
        options: VocoderTrainerOptions,
        distributed_option: DistributedOption,
    ) -> None:
        """Validate, as ``GANTrainer``; then let people hear the model, on the first process."""
        _fetch_at_once(reporter)
        super().validate_one_epoch(
            model=model,
            iterator=cls.batches.validating(iterator),
            reporter=reporter,
            options=options,
            distributed_option=distributed_option,
        )
        first = not distributed_option.distributed or distributed_option.dist_rank == 0
        if options.listening is not None and first:
            own = getattr(model, "module", model)  # without what distributes it
            device = "cuda" if options.ngpu > 0 else "cpu"
            options.listening.after_epoch(own, iterator.dataset, reporter.get_epoch(), device)

    @staticmethod
    def resume(
        checkpoint: str | Path,
        model: torch.nn.Module,
        reporter: Reporter,
        optimizers: Sequence[torch.optim.Optimizer],
        schedulers: Sequence[AbsScheduler | None],
        scaler: None,
        ngpu: int = 0,
        strict: bool = True,
    ) -> None:
        """Load a checkpoint, as ``Trainer.resume``."""
        GANTrainer.resume(checkpoint, model, reporter, optimizers, schedulers, scaler, ngpu, strict)
        VocoderTrainer.place = place_in(checkpoint)
        if VocoderTrainer.place is not None:
            return
        # A kill between ESPnet's two writes at the end of an epoch leaves the second out; averaging would miss it.
        snapshot = Path(checkpoint).parent / f"{reporter.get_epoch()}epoch.pth"
        first = not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
        if first and not snapshot.exists():
            torch.save(model.state_dict(), snapshot)

    @classmethod
    @torch.no_grad()
    def plot_attention(
        cls,
        model: torch.nn.Module,
        output_dir: Path | None,
        summary_writer,
        iterator,
        reporter: SubReporter,
        options,
    ) -> None:
        """Write validation utterances to TensorBoard: generated audio, and its mel beside the reference's.

        ESPnet calls this after each validation, on one process, for ``num_att_plot`` utterances.
        """
        if summary_writer is None:
            return
        model.eval()
        epoch = reporter.get_epoch()
        sample_rate = model.gan.config.mel.sample_rate
        for (utterance,), batch in iterator:
            batch = to_device(batch, "cuda" if options.ngpu > 0 else "cpu")
            waves = {"reference": batch["wav"][0], "generated": model.synthesize(**batch)[0]}
            waves = {name: wav.cpu() for name, wav in waves.items()}
            for name, wav in waves.items():
                if name == "generated" or epoch == 1:
                    summary_writer.add_audio(f"{utterance}/{name}", wav, epoch, sample_rate)
            figure = mel_figure({utterance: {name: wav.numpy() for name, wav in waves.items()}}, sample_rate)
            summary_writer.add_figure(f"{utterance}/mel", figure, epoch)
            reporter.next()


def _look_at_what_is_logged(reporter: SubReporter, model: ESPnetVocoderModel) -> None:
    """Let the model's health see the means of what ESPnet puts into its log, when it does."""
    log_message = reporter.log_message

    def look_and_log(start: int | None = None, end: int | None = None) -> str:
        means = {}
        for name, values in reporter.stats.items():
            # Ours have weights; a weight of 0 fills up steps without the value.
            present = [one.value for one in values[start:end] if isinstance(one, WeightedAverage) and one.weight]
            if present:
                means[name] = float(np.mean(present))  # of all: ESPnet's own mean leaves out what is not finite
        model.health.look(means, int(model.gan.steps))
        return log_message(start, end)

    reporter.log_message = look_and_log


def _fetch_at_once(reporter: SubReporter) -> None:
    """Let ESPnet's reporter wait for a device once for all values that it registers, not twice for each of them."""
    register = reporter.register

    def fetch_and_register(stats: Mapping[str, Any], weight: torch.Tensor | float | None = None) -> None:
        entries = {**stats, None: weight}
        tensors = {name: value for name, value in entries.items() if isinstance(value, torch.Tensor)}
        if tensors:
            fetched = torch.cat([value.detach().reshape(1).double() for value in tensors.values()]).tolist()
            entries |= dict(zip(tensors, fetched, strict=True))
        weight = entries.pop(None)
        register(entries, weight)

    reporter.register = fetch_and_register


@contextmanager
def whole_checkpoints() -> Iterator[None]:
    """Make ``torch.save`` replace a file only when the new one is complete.

    ESPnet writes ``checkpoint.pth`` over the former one: a kill or a full disk in the middle would lose both.

    Raises:
        EvaganError: If a file cannot be written.
    """
    save = torch.save

    def save_whole(values: object, f: object, *args: object, **options: object) -> None:
        if not isinstance(f, str | Path):
            save(values, f, *args, **options)
            return
        with atomic_path(f) as temporary:
            try:
                save(values, temporary, *args, **options)
            except RuntimeError as error:
                # Torch's own writer raises this for what the system reports as a full disk or a limit.
                raise OSError(f"not all of it fits: {str(error).splitlines()[0]}") from error

    torch.save = save_whole
    try:
        yield
    finally:
        torch.save = save
