"""Where a run stands. Coqui's trainer counts steps and epochs, but begins an interrupted epoch anew."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evagan_plugin.coqui.data import EpochBatches


@dataclass
class Progress:
    """What was done, saved with the weights."""

    epochs: int = 0
    """Whole epochs."""
    batches: int = 0
    """Batches of the epoch that is not whole."""
    steps: int = 0
    """Batches in all."""

    def step(self) -> None:
        """Count a batch."""
        self.batches += 1
        self.steps += 1

    def end_epoch(self, epochs: int) -> None:
        """Begin the epoch after so many whole ones."""
        self.epochs, self.batches = epochs, 0

    def go_on(self, batches: EpochBatches, trainer: Any) -> None:
        """Set the batches of the trainer's epoch that are still to be done."""
        batches.epoch, batches.start, batches.stop = trainer.epochs_done, self.batches, len(batches)
        if limit := _max_steps(trainer):
            batches.stop = min(batches.stop, self.batches + max(limit - self.steps, 0))


def resume(trainer: Any, progress: Progress) -> None:
    """Let a trainer that continues a run begin after the last batch that was done.

    Coqui's trainer would do the epoch of the checkpoint again, in part or whole.
    """
    if not trainer.continue_run:
        progress.epochs = progress.batches = progress.steps = 0
        return
    trainer.epochs_done, trainer.total_steps_done = progress.epochs, progress.steps
    if progress.batches:
        # If all batches of the epoch are done, its end is not: schedulers step where their optimizers have.
        trainer._stepped_optimizers.update(range(len(trainer.optimizer)))


def best_loss(trainer: Any) -> dict[str, float] | None:
    """Return the losses of the best model of the run that a trainer continues; None if there is none.

    Coqui's trainer takes those of the last checkpoint, which has no evaluation loss, and would then write over the
    best model by training loss.
    """
    if not trainer.continue_run or not Path(trainer.args.best_path).is_file():
        return None
    losses = torch.load(trainer.args.best_path, map_location="cpu", weights_only=True, mmap=True)["model_loss"]
    return losses if losses["eval_loss"] is not None or not trainer.config.run_eval else None


def stop_at(trainer: Any, model: Any) -> None:
    """Make the epoch that reaches ``--max_steps`` the last one."""
    limit = _max_steps(trainer)
    if limit:
        steps = len(model.get_data_loader(trainer.config, is_eval=False, samples=trainer.train_samples))
        evaluations = 1 if trainer.start_with_eval else 0  # an epoch without training
        trainer.config.epochs = min(trainer.config.epochs, evaluations + math.ceil(limit / steps))


def _max_steps(trainer: Any) -> int:
    """Return the option of the recipes; Coqui's own programs do not have it."""
    return getattr(trainer.args, "max_steps", 0)
