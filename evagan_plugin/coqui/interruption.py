"""Ctrl-C and SIGTERM in Coqui's trainer, and the lock of its run folder.

Coqui's trainer saves at Ctrl-C in the middle of whatever it does, and not at all at SIGTERM. Here the step is finished,
and the checkpoint is one that ``--continue_path`` goes on from exactly.
"""

import contextlib
import os
import sys
from typing import Any

import torch

from evagan_plugin.coqui.parallel import rank_and_size
from evagan_plugin.utils.lock import locked
from evagan_plugin.utils.stop import Stop

PATIENCE = 6.0
"""Seconds to wait for the end of another training, whose loading workers may outlive it by so much."""


def lock_run(trainer: Any) -> contextlib.ExitStack:
    """Keep other trainings out of the run folder until what is returned is closed or gone.

    Raises:
        EvaganError: If one is in it.
    """
    stack = contextlib.ExitStack()
    if rank_and_size()[0] == 0:
        stack.enter_context(locked(trainer.output_path, PATIENCE))
    return stack


def stop_if_asked(trainer: Any) -> None:
    """End the process between two steps if one of the processes was asked to; all of them call this together.

    The trainer's own handling of Ctrl-C follows: it saves, and calls :func:`end`.
    """
    asked, size = Stop.asked or 0, rank_and_size()[1]
    if size > 1:
        shared = torch.tensor(asked, device=next(trainer.model.parameters()).device)
        torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
        asked = int(shared)
    if not asked:
        return
    Stop.asked = asked
    trainer.config.save_on_interrupt = True
    raise KeyboardInterrupt


def end(trainer: Any) -> None:
    """End the process with the signal's status, once it has saved; raised elsewhere, Ctrl-C is left to the trainer."""
    if not Stop.asked:
        return
    rank, size = rank_and_size()
    if size > 1:
        # So that none ends, and a launcher all others, before the first has saved.
        torch.distributed.barrier()
    if rank == 0:
        trainer.dashboard_logger.finish()
        where = f"step {trainer.model.progress.steps}"
        sys.stderr.write(f"stopped after {where}, and saved: --continue_path {trainer.output_path} goes on there\n")
    sys.stdout.flush()
    sys.stderr.flush()
    # As the trainer does: its caller would take any exception for a fault, with a traceback.
    os._exit(128 + Stop.asked)
