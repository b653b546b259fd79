"""What is checked before Coqui's trainer starts."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from trainer.generic_utils import remove_experiment_folder

from evagan_plugin.checkpoint.tensors import check_tensors, generator_weights, read_weights
from evagan_plugin.config import VocoderConfig, config_difference, config_to_dict
from evagan_plugin.config.parts import DISCRIMINATORS, IN_HOST
from evagan_plugin.coqui.config import vocoder_config
from evagan_plugin.coqui.data import mix_of, recordings_of
from evagan_plugin.coqui.parallel import rank_and_size
from evagan_plugin.data.augmentation import refuse_given_mels
from evagan_plugin.data.segments import unusable_recordings
from evagan_plugin.data.stream_items import StreamDataset
from evagan_plugin.errors import ConfigError, EvaganError, UsageError, nearest, some

logger = logging.getLogger(__name__)


def check_run(trainer: Any, model: Any) -> None:
    """Check the options of a run, that it writes over no other, and the checkpoint that it starts from.

    Raises:
        EvaganError: One line; a run folder that was made just now and is empty is removed.
    """
    try:
        _check_options(trainer)
        _check_config(trainer.config, model)
        _check_target(trainer.config.target_loss, model)
        if not trainer.continue_run and list(trainer.output_path.glob("*.pth")):
            raise UsageError(f"{trainer.output_path} holds the checkpoints of another run: set another run_name")
        if trainer.args.restore_path:
            path = Path(trainer.args.restore_path)
            if not path.is_file():
                raise UsageError(f"there is no checkpoint {path}")
            check_state(model, _read(path, trainer.continue_run), path)
            _check_form(path)
    except EvaganError:
        _leave_no_folder(trainer)
        raise


def check_data(trainer: Any, vocoder: VocoderConfig) -> None:
    """Read the headers of all recordings, or open the mix, and compare given mels with the options.

    Raises:
        EvaganError: As :func:`check_run`.
    """
    try:
        if any(recordings_of(trainer.train_samples).values()):
            refuse_given_mels(vocoder.training, "train_samples")
        if mix := mix_of(trainer.train_samples):
            stream = StreamDataset.for_training(mix, vocoder, trainer.config.training_seed).stream
            stream.report(trainer.config.batch_size * rank_and_size()[1])
        samples = {"train": trainer.train_samples}
        if trainer.config.run_eval:
            samples["eval"] = trainer.eval_samples
        for split, recorded in samples.items():
            recordings = {path: path for path in recordings_of(recorded)}
            wanted = None if trainer.config.audio.resample else vocoder.mel.sample_rate
            problems = unusable_recordings(recordings, f"check {split} samples", wanted, mono=False)
            if problems:
                raise UsageError(
                    f"{len(problems)} of {len(recordings)} {split} recordings cannot be used: {some(problems)}; mend "
                    "or remove them (other sample rates: audio.resample true)"
                )
    except EvaganError:
        _leave_no_folder(trainer)
        raise


def check_state(model: Any, state: Mapping[str, Tensor], source: Path) -> None:
    """Check that a checkpoint fits a model before it is loaded: Coqui would load what fits and pass over the rest.

    A checkpoint without discriminators is one of a generator alone, to start from.

    Raises:
        EvaganError: If it does not fit; the first tensors that differ are listed.
    """
    ours, theirs = model.state_dict(), dict(state)
    model.gan.complete_state(theirs, IN_HOST)
    if not any(name.startswith(DISCRIMINATORS) for name in state):
        logger.warning("%s has no discriminators: they start anew", source)
        ours, theirs = generator_weights(ours, "the model"), generator_weights(state, source)
    check_tensors(ours, theirs, source)


def _read(path: Path, continued: bool) -> dict[str, Tensor]:
    try:
        return read_weights(path)
    except EvaganError as error:
        if not continued:
            raise
        raise EvaganError(f"{error}; without it --continue_path takes the checkpoint before") from error


def _check_form(path: Path) -> None:
    """Check that weights lie where Coqui's trainer looks for them."""
    content = {} if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    if not {"model", "step", "epoch"} <= content.keys():
        raise UsageError(
            f"{path} is no checkpoint of Coqui's trainer: `evagan convert {path} DIR --to coqui` makes one"
        )


def _check_options(trainer: Any) -> None:
    if trainer.args.grad_accum_steps != 1:
        raise UsageError("grad_accum_steps: Coqui's trainer cannot accumulate with two optimizers; reduce batch_size")
    if trainer.args.use_accelerate:
        raise UsageError(
            "use_accelerate: Coqui's trainer fails with two optimizers there; use python -m trainer.distribute"
        )


def _check_config(config: Any, model: Any) -> None:
    """Compare the trainer's config, which options and a continued run change, with what the model was built from."""
    wanted, built = vocoder_config(config), model.gan.config
    if wanted != built:
        differences = config_difference(config_to_dict(built), config_to_dict(wanted))
        raise ConfigError(
            f"the model was built from another config than the trainer's: {'; '.join(differences)}; build it with the "
            "options that the run has (a continued run: those that it was started with)"
        )


def _check_target(target: str | None, model: Any) -> None:
    """Check the loss that the best model is chosen by: Coqui would miss it after the first epoch."""
    known = [*model.gan.weights, *(f"disc_{name}" for name in model.gan.discriminators), "loss_0", "loss_1"]
    if target and target not in known:
        raise ConfigError(f"target_loss '{target}' is no loss of this model: {nearest(target, known)}")


def _leave_no_folder(trainer: Any) -> None:
    if not trainer.continue_run:
        trainer.dashboard_logger.finish()
        remove_experiment_folder(trainer.output_path)
