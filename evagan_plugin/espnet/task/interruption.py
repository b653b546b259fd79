"""Ctrl-C and SIGTERM inside an epoch: the step is finished, all is saved, and the same command goes on exactly there.

Which batches an epoch has follows from its number (``data.segments``), so that the number of those that are done says
which come next; the states of the random generators say what they would have been drawn with. In a validation the batch
is finished and what is saved is the end of the training before it: a resumed run repeats that validation from its first
batch, and ends as if it had not been stopped.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from espnet2.torch_utils.device_funcs import to_device
from espnet2.train.reporter import Reporter, SubReporter, WeightedAverage, to_reported_value
from torch.utils.data import DataLoader

from evagan_plugin.utils.stop import Stop, keep_workers

CHECKPOINT = "checkpoint.pth"
ENTRY = "inside_epoch"
"""What a checkpoint from inside an epoch has beside ESPnet's entries."""


@dataclass
class InsideEpoch:
    """Where a training stands in an epoch."""

    epoch: int
    done: int
    """Batches that were trained on."""
    of: int
    """Batches of the whole epoch."""
    steps: int
    """Batches of all epochs."""
    stats: dict[str, list[tuple[float, float | None]]]
    """Value and weight, by name, of each batch."""
    random: list[dict[str, Any]]
    """States of the random generators, by process."""

    @classmethod
    def of_now(cls, reporter: SubReporter, of: int) -> "InsideEpoch":
        """Return where a training stands between two batches; with several processes, all of them ask together."""
        own = {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None}
        states = [own]
        if torch.distributed.is_initialized():
            states = [own] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(states, own)
        stats = {
            name: [
                (float(one.value), float(one.weight) if isinstance(one, WeightedAverage) else None) for one in values
            ]
            for name, values in reporter.stats.items()
        }
        return cls(reporter.get_epoch(), reporter.count, of, reporter.get_total_count(), stats, states)

    def take_up(self, loader: DataLoader, reporter: SubReporter) -> bool:
        """Leave out the batches that are done and take up their figures; False if the epoch is another one now."""
        batches = loader.batch_sampler
        if len(batches) != self.of:
            logging.warning("epoch %d had %d batches and has %d now: it begins anew", self.epoch, self.of, len(batches))
            return False
        del batches[: self.done]
        reporter.count, reporter.total_count = self.done, self.steps
        for name, values in self.stats.items():
            reporter.stats[name].extend(to_reported_value(*one) for one in values)
        return True

    def take_up_random(self) -> None:
        """Put the random generators where they stood."""
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        state = self.random[min(rank, len(self.random) - 1)]
        torch.set_rng_state(state["cpu"].cpu())
        if state["cuda"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"].cpu())


class SavingLoader:
    """The rest of an epoch's batches; between two of them it saves where that is due, and ends the process if asked.

    Args:
        loader: Batches that are still to be done.
        reporter: Counts those that are done.
        states: What ESPnet saves: ``model``, and lists of ``optimizers`` and ``schedulers``.
        output_dir: The experiment.
        keep_steps: Steps after which a checkpoint is kept; 0 for never.
        device: Where batches go, and where processes exchange whether one was asked to stop.
        place: Where the epoch goes on; None at its beginning.
    """

    def __init__(
        self,
        loader: DataLoader,
        reporter: SubReporter,
        states: dict[str, Any],
        output_dir: str | Path,
        keep_steps: int,
        device: str,
        place: InsideEpoch | None,
    ) -> None:
        self.loader, self.reporter, self.states, self.place = loader, reporter, states, place
        self.output_dir, self.keep_steps, self.device = Path(output_dir), keep_steps, device
        self.whole = reporter.count + len(loader)
        self.end: InsideEpoch | None = None

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator:
        rest = iter(self.loader)
        if self.place is not None:
            self.place.take_up_random()  # now, since a data loader that begins draws a number itself
        began = self.reporter.count
        while True:
            steps = self.reporter.get_total_count()
            kept = self.keep_steps and self.reporter.count > began and steps % self.keep_steps == 0
            asked = self._asked()
            if kept or asked:
                place = InsideEpoch.of_now(self.reporter, self.whole)
                if _is_first():
                    self._save(place, self.output_dir / f"{steps}steps.pth" if kept else None)
            if asked:
                self._leave(asked, f"batch {place.done} of {place.of}", "goes on from there")
            try:
                names, batch = next(rest)
            except StopIteration:
                return
            # ESPnet's own copy would be waited for.
            yield names, to_device(batch, self.device, non_blocking=True)

    def note_end(self) -> None:
        """Note the end of the epoch's training; with several processes, all of them call this together."""
        self.end = InsideEpoch.of_now(self.reporter, self.whole)

    def validating(self, loader: DataLoader) -> Iterator:
        """Return the batches of the validation that follows; between two of them the process ends if asked.

        Args:
            loader: The batches of the validation.
        """
        keep_workers(loader)
        rest = iter(loader)
        while True:
            asked = self._asked()
            if asked:
                if _is_first():
                    self._save(self.end, None)
                self._leave(asked, "in its validation", "repeats that and goes on")
            try:
                batch = next(rest)
            except StopIteration:
                return
            yield batch

    def _leave(self, asked: int, where: str, then: str) -> NoReturn:
        self._asked()  # so that none ends, and a launcher all others, before the first has saved
        if _is_first():
            epoch = self.reporter.get_epoch()
            sys.stderr.write(f"stopped at epoch {epoch}, {where}, and saved: the same command {then}\n")
        sys.exit(128 + asked)

    def _asked(self) -> int:
        """Return the signal that a process has been asked to stop by, 0 if none has."""
        if not torch.distributed.is_initialized():
            return Stop.asked or 0
        asked = torch.tensor(Stop.asked or 0, device=self.device)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        return int(asked)

    def _save(self, place: InsideEpoch, kept: Path | None) -> None:
        checkpoint = self.output_dir / CHECKPOINT
        model = self.states["model"].state_dict()
        torch.save(
            {
                "model": model,
                "reporter": reporter_before(place.epoch, checkpoint),
                "optimizers": [one.state_dict() for one in self.states["optimizers"]],
                "schedulers": [one and one.state_dict() for one in self.states["schedulers"]],
                "scaler": None,
                ENTRY: vars(place),
            },
            checkpoint,
        )
        if kept:
            torch.save(model, kept)


def _is_first() -> bool:
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def reporter_before(epoch: int, checkpoint: Path) -> dict[str, Any]:
    """Return the state of ESPnet's reporter at the end of the epoch before, which the last checkpoint has."""
    if epoch > 1 and checkpoint.exists():
        states = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        if states["reporter"]["epoch"] == epoch - 1:
            return states["reporter"]
    return Reporter(epoch - 1).state_dict()


def place_in(checkpoint: str | Path) -> InsideEpoch | None:
    """Return where in an epoch a checkpoint was saved; None if at an epoch's end."""
    place = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True).get(ENTRY)
    return place and InsideEpoch(**place)


def saving(
    loader: DataLoader,
    reporter: SubReporter,
    model: torch.nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    schedulers: Sequence[Any],
    options: Any,
    place: InsideEpoch | None,
) -> SavingLoader:
    """Return the batches of an epoch with :class:`SavingLoader` around them, and listen to signals from now on.

    Args:
        loader: The batches of the whole epoch.
        reporter: Of the epoch.
        model: As ESPnet has it, distributed or not.
        optimizers: All of them.
        schedulers: All of them.
        options: Of the trainer.
        place: Where a resumed training stood, in whatever epoch.
    """
    Stop.listen()
    keep_workers(loader)
    if place is not None and (place.epoch != reporter.get_epoch() or not place.take_up(loader, reporter)):
        place = None
    own = getattr(model, "module", model)  # without what distributes it
    states = {"model": own, "optimizers": optimizers, "schedulers": schedulers}
    device = "cuda" if options.ngpu > 0 else "cpu"
    return SavingLoader(loader, reporter, states, options.output_dir, options.keep_steps, device, place)
