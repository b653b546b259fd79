"""Checkpoints heard by people while they train: ``--listen_test`` and ``--listen_every``."""

import argparse
import logging
import os
import re
from pathlib import Path

import torch
from espnet2.torch_utils.device_funcs import to_device

from evagan_plugin.audio.io import save_audio
from evagan_plugin.data.kaldi import read_scp
from evagan_plugin.data.segments import SegmentCrop, stack
from evagan_plugin.errors import EvaganError, UsageError, require
from evagan_plugin.espnet.task.data import SegmentDataset
from evagan_plugin.espnet.task.model import ESPnetVocoderModel
from evagan_plugin.evaluation.metrics.base import NotScored
from evagan_plugin.evaluation.metrics.log_mel import LogMel, log_mel_l1

DATABASE_VARIABLE = "EVAGAN_LISTEN_DATABASE"
"""As for ``evagan listen``: URL of the vote store, where it is not in the test folder."""
NAME_LENGTH = 40
"""Characters of the experiment's name in the name of a system."""


def add_listening_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("Listening test")
    group.add_argument(
        "--listen_test",
        default=None,
        help="Folder of a listening test (`evagan listen create`) whose utterances are in the validation set: "
        "checkpoints are added to it as systems while they train, for `evagan listen report` to draw scores against "
        f"steps. {DATABASE_VARIABLE} names the vote store where it is not in the folder",
    )
    group.add_argument(
        "--listen_every",
        type=int,
        default=10,
        help="Epochs from one system to the next (ESPnet validates once per epoch; num_iters_per_epoch sets the steps "
        "of one)",
    )


def check_listening(args: argparse.Namespace) -> None:
    """Check at the start that the checkpoints can be added to the listening test, if there is to be one.

    Raises:
        EvaganError: If there is no such test, it is MUSHRA, the validation set lacks one of its utterances, its vote
            store cannot be opened, or a package of the extra ``listen`` is missing.
    """
    if args.listen_test is None:
        return
    if args.listen_every < 1:
        raise UsageError(f"--listen_every {args.listen_every}: a number of epochs from 1 on is needed")
    for package in ("sqlalchemy", "pyloudnorm"):
        require(package, "listen")
    from evagan_plugin.listening.add import check_addable
    from evagan_plugin.listening.votes.store import open_store

    [scp] = [path for path, name, _ in args.valid_data_path_and_name_and_type if name == "wav"]
    try:
        design = check_addable(args.listen_test, read_scp(scp), scp)
        with open_store(args.listen_test, design, os.environ.get(DATABASE_VARIABLE)):
            pass
    except EvaganError as error:
        raise type(error)(f"--listen_test: {error}") from error


class ListeningLoop:
    """Adds the model to a running listening test every few epochs.

    Args:
        test_dir: Folder of the test.
        every: Epochs from one system to the next.
        output_dir: Experiment; the samples are kept in its ``listening/<N>epoch/``.
    """

    def __init__(self, test_dir: str, every: int, output_dir: str | Path) -> None:
        self.test_dir, self.every, self.output_dir = test_dir, every, Path(output_dir)
        self.steps = 0
        """Training steps so far, as the trainer counts them."""

    @torch.no_grad()
    def after_epoch(self, model: ESPnetVocoderModel, dataset: SegmentDataset, epoch: int, device: str) -> None:
        """Add the model as it is after an epoch, if it is the turn of that epoch.

        A failure is a warning in the log: a training does not end for a listening test.

        Args:
            model: In evaluation mode.
            dataset: The validation set.
            epoch: Number of the epoch, from 1.
            device: Where the model is.
        """
        if epoch % self.every:
            return
        experiment = re.sub(r"[^A-Za-z0-9_+-]", "_", self.output_dir.resolve().name)[:NAME_LENGTH]
        name, folder = f"{experiment}_{self.steps}steps", self.output_dir / "listening" / f"{epoch}epoch"
        try:
            self._add(name, folder, model, dataset, device)
        except Exception as error:
            logging.warning(
                f"epoch {epoch} is not in the listening test {self.test_dir}: {' '.join(str(error).split())}; training "
                f"goes on. Once that is mended: evagan listen add {self.test_dir} {name}={folder} --step {self.steps}",
                exc_info=not isinstance(error, EvaganError),
            )
        else:
            logging.info(f"system '{name}' added to the listening test {self.test_dir}, samples in {folder}")

    def _add(self, name: str, folder: Path, model: ESPnetVocoderModel, dataset: SegmentDataset, device: str) -> None:
        from evagan_plugin.listening import ObjectiveMetrics, add_system
        from evagan_plugin.listening.design.design import load_design

        crop = SegmentCrop.for_listening(model.gan.config)
        sample_rate = model.gan.config.mel.sample_rate
        distances = {}
        for item in load_design(self.test_dir).items:
            data = dataset.read(item.id)
            samples = len(data["wav"])
            _, batch = stack([(item.id, crop.whole(samples)(item.id, data, 0))])
            generated = model.synthesize(**to_device(batch, device))[0, :samples].cpu().numpy()
            save_audio(folder / f"{item.id}.wav", generated, sample_rate)
            try:
                reference = batch["wav"][0, :samples].numpy()
                distances[item.id] = {LogMel.metrics[0].name: log_mel_l1(reference, generated, sample_rate)}
            except NotScored:  # too short; it is heard nevertheless
                continue
        metrics = ObjectiveMetrics(distances, {metric.name: metric.better for metric in LogMel.metrics})
        add_system(self.test_dir, name, folder, self.steps, metrics, os.environ.get(DATABASE_VARIABLE))
