"""``EvaGan``: the model that Coqui's trainer and synthesizer drive, thin over :class:`GANVocoder`."""

import contextlib
import dataclasses
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from trainer.trainer_utils import get_optimizer, get_scheduler
from TTS.config.shared_configs import BaseAudioConfig
from TTS.vocoder.models.base_vocoder import BaseVocoder

from evagan_plugin.audio.features import check_mel
from evagan_plugin.audio.likelihood import MelWatch
from evagan_plugin.audio.mel import MelConversion
from evagan_plugin.checkpoint.native import check_same_config
from evagan_plugin.checkpoint.tensors import fill, generator_weights, one_generator, read_weights, statistics_in
from evagan_plugin.config import config_to_dict
from evagan_plugin.coqui.checks import check_data, check_run, check_state
from evagan_plugin.coqui.config import EvaGanConfig, vocoder_config
from evagan_plugin.coqui.data import (
    EpochBatches,
    SegmentDataset,
    Source,
    listening_items,
    make_loader,
    mix_of,
    recordings_of,
)
from evagan_plugin.coqui.interruption import end, lock_run, stop_if_asked
from evagan_plugin.coqui.mel import audio_processor, mel_config, normalization
from evagan_plugin.coqui.parallel import average_gradients, average_values, rank_and_size, share_state
from evagan_plugin.coqui.progress import Progress, best_loss, resume, stop_at
from evagan_plugin.data.segments import SegmentCrop, SegmentSampler
from evagan_plugin.data.stream_items import StreamDataset, StreamSampler
from evagan_plugin.errors import ConfigError, UsageError
from evagan_plugin.evaluation.spectrograms import mel_figure
from evagan_plugin.inference.exported import is_onnx, read_facts
from evagan_plugin.inference.onnx_engine import OnnxGenerator
from evagan_plugin.training.gan import GANVocoder
from evagan_plugin.training.health import Health
from evagan_plugin.utils.stop import Stop

logger = logging.getLogger(__name__)

FEATURES = "what the acoustic model gives"
"""How features are called in a warning."""
DISCRIMINATORS, GENERATOR = 0, 1
"""Numbers of the optimizers, in the order of Coqui's GANs."""


class EvaGan(BaseVocoder):
    """EVA-GAN in Coqui TTS.

    In checkpoints its weights begin with ``gan.generator.``, ``gan.discriminators.``, ``gan.balancer.``,
    ``gan.steps.`` and ``gan.ema.``.

    Args:
        config: Its ``vocoder_conf`` becomes the whole vocoder config, so that what is saved says it all.

    Raises:
        ConfigError: If the config cannot be used.
    """

    def __init__(self, config: EvaGanConfig) -> None:
        vocoder = vocoder_config(config)
        audio_processor(config.audio)
        super().__init__(config)
        config.vocoder_conf = config_to_dict(vocoder)
        self.gan = GANVocoder(vocoder)
        self.progress = Progress()
        self.active = DISCRIMINATORS
        self.lock = contextlib.ExitStack()
        self.best_loss: dict[str, float] | None = None
        self.health, self.latest = Health(vocoder.discriminators), {}
        self.conversion = self._conversion_from(config.audio, "audio")
        self.watch = MelWatch(vocoder.mel, vocoder.mel_statistics, logger)

    def forward(self, x: Tensor) -> Tensor:
        """Synthesise (B, 1, F * hop) from the vocoder's own log-mels (B, n_mels, F)."""
        return self.gan.inference_generator(x)

    @torch.inference_mode()
    def inference(self, x: Tensor) -> Tensor:
        """Synthesise (B, 1, F * hop) from the features of an acoustic model (B, n_mels, F).

        They are as ``config.audio`` says, or as the acoustic model's own audio config once :meth:`connect` has seen it.
        """
        x = x.float()
        check_mel(x, self.gan.config.mel)
        conversion = self.conversion
        self.watch.look(conversion.unclamped(x), FEATURES, conversion.source_floor, conversion.factor)
        return self.gan.inference_generator(conversion(x))

    def connect(self, synthesizer: Any) -> None:
        """Fit this vocoder to the acoustic model of a ``Synthesizer``.

        Raises:
            MelMismatchError: If the acoustic model's mel cannot be converted exactly; it lists the fields.
            UsageError: If the acoustic model makes no mels.
        """
        if synthesizer.tts_model is None:
            return
        audio = synthesizer.tts_config.audio
        if not isinstance(audio, BaseAudioConfig):
            raise UsageError(f"{synthesizer.tts_config.model} makes waveforms itself: leave the vocoder out")
        self.conversion = self._conversion_from(audio, "the acoustic model").to(self.device)
        # The synthesizer normalises as our config says what may be in other units: clipping could not be undone.
        synthesizer.vocoder_ap.clip_norm = False

    def load_checkpoint(
        self,
        config: EvaGanConfig,
        checkpoint_path: str | Path,
        *,
        eval: bool = False,
        strict: bool = True,
        cache: bool = False,
    ) -> None:
        """Load a checkpoint: ``.pth`` of this model, any file with an EVA-GAN generator that fits the config, or, for
        inference, an exported ``.onnx`` that does.

        Args:
            config: Not looked at: the model was built from it.
            checkpoint_path: A local file.
            eval: Keep the generator alone, ready for inference.
            strict: Whether discriminators and balancer must be in it, too.
            cache: Not looked at: nothing is downloaded.

        Raises:
            EvaganError: If it is missing, truncated, holds code or does not fit.
        """
        path = Path(checkpoint_path)
        if not path.is_file():
            raise UsageError(f"there is no checkpoint {path}")
        if is_onnx(path) and eval:
            self._load_exported(path)
            return
        state = read_weights(path)
        chosen = one_generator(state, path) if eval else state
        fill(self.gan.generator, generator_weights(chosen, path), path)
        if known := statistics_in(state):
            self.watch.known = known
        if eval:
            self.gan.discriminators, self.gan.ema = nn.ModuleDict(), None
            self.gan.generator.remove_weight_norm()
            self.eval()
        elif strict:
            check_state(self, state, path)
            self.load_state_dict(state)

    def _load_exported(self, path: Path) -> None:
        """Let onnxruntime compute, on the CPU."""
        config = read_facts(path).config
        check_same_config(self.gan.config, config, path)
        self.watch.known = config.mel_statistics or self.watch.known
        self.gan.discriminators, self.gan.ema, self.gan.generator = nn.ModuleDict(), None, OnnxGenerator(path)
        self.eval()

    def train_step(self, batch: dict, criterion: nn.Module, optimizer_idx: int) -> tuple[dict, dict]:
        """Take the step of one optimizer; the value of ``loss`` is the weighted sum, its gradient the balanced one."""
        self.active = optimizer_idx
        if self.training and optimizer_idx == DISCRIMINATORS:
            # Crops and stochastic depth of a step follow from its number, so that a resumed run has the same.
            rank, size = rank_and_size()
            torch.manual_seed(self.config.training_seed + self.progress.steps * size + rank)
        take_step = self.gan.generator_step if optimizer_idx == GENERATOR else self.gan.discriminator_step
        # What runs in bfloat16 is said by vocoder_conf.training.bf16; Coqui's autocast would include the losses.
        with torch.autocast(batch["waveform"].device.type, enabled=False):
            output = take_step(batch["waveform"], batch.get("mel"), smoothing=batch.get("smoothing"))
        if self.training and optimizer_idx == GENERATOR:
            self.progress.step()
        stats = average_values(output.stats) if self.training else dict(output.stats)
        if self.training:
            self.latest |= stats
        value = stats.pop("loss" if optimizer_idx == GENERATOR else "disc_loss")
        return {"model_outputs": output.fake}, {"loss": output.loss + (value - output.loss).detach(), **stats}

    @torch.inference_mode()
    def eval_step(self, batch: dict, criterion: nn.Module, optimizer_idx: int) -> tuple[dict, dict]:
        """Score one optimizer's part on evaluation data."""
        return self.train_step(batch, criterion, optimizer_idx)

    def before_gradient_clipping(self) -> None:
        """Average over processes the gradients of the part whose step it is."""
        if self.active == DISCRIMINATORS and not self.gan.discriminating:
            return  # there are none, and none may come about: weight decay would act
        part = self.gan.generator if self.active == GENERATOR else self.gan.discriminators
        average_gradients(part.parameters())

    @torch.inference_mode()
    def test_run(self, trainer: Any) -> dict[str, dict[str, Tensor]]:
        """Return waveforms (T,) by ``reference`` and ``generated``, of a few evaluation recordings by name."""
        recordings = recordings_of(trainer.eval_samples or trainer.train_samples)
        chosen = dict(list(recordings.items())[: self.config.num_test_utterances])
        waves = {}
        for name, batch in listening_items(chosen, self.gan.config, self._source()).items():
            wav = batch["waveform"].to(self.device)
            mel = batch["mel"].to(self.device) if "mel" in batch else self.gan.mel(wav)
            generated = self.gan.inference_generator(mel[..., : wav.shape[-1] // self.gan.config.mel.hop_length])
            waves[name] = {"reference": wav[0, 0].cpu(), "generated": generated[0, 0].cpu()}
        return waves

    def test_log(self, outputs: dict[str, dict[str, Tensor]], logger: Any, steps: int) -> None:
        """Write audio, and mels side by side, to the dashboard."""
        sample_rate = self.gan.config.mel.sample_rate
        for name, waves in outputs.items():
            arrays = {kind: wav.numpy() for kind, wav in waves.items()}
            audios = {f"{name}/{kind}": wav for kind, wav in arrays.items()}
            logger.test_audios(steps, audios, sample_rate)
            logger.test_figures(steps, {f"{name}/mel": mel_figure({name: arrays}, sample_rate)})

    def get_data_loader(
        self, config: EvaGanConfig, *, is_eval: bool, samples: list | None = None, verbose: bool = True
    ) -> torch.utils.data.DataLoader:
        """Return the loader of training or evaluation segments; every process evaluates on all of the latter."""
        rank, size = (0, 1) if is_eval else rank_and_size()
        batch_size = config.eval_batch_size if is_eval else config.batch_size * size
        workers = config.num_eval_loader_workers if is_eval else config.num_loader_workers
        if mix := mix_of(samples):
            stream_items = StreamDataset.for_training(mix, self.gan.config, config.training_seed)
            batches = StreamSampler(stream_items.stream, batch_size, config.steps_per_epoch or None, rank, size)
            return make_loader(stream_items, batches, 0, workers)
        recordings = recordings_of(samples)
        crop = SegmentCrop.for_validation if is_eval else SegmentCrop.for_training
        dataset = SegmentDataset(recordings, crop(self.gan.config), self._source())
        sampler = SegmentSampler(list(recordings), batch_size, not is_eval, rank, size)
        return make_loader(dataset, sampler, config.training_seed, workers)

    def format_batch(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a batch as a new dict, which the trainer fills anew."""
        return dict(batch)

    def get_criterion(self) -> list[nn.Module]:
        """Return one for each optimizer; the losses themselves are in :class:`GANVocoder`."""
        return [nn.Identity(), nn.Identity()]

    def get_optimizer(self) -> list[torch.optim.Optimizer]:
        """Return the optimizers of discriminators and generator (raises :class:`ConfigError` for bad settings)."""
        parts, name = (self.gan.discriminators, self.gan.generator), self.config.optimizer
        try:
            return [
                get_optimizer(name, self.config.optimizer_params, lr, part)
                for lr, part in zip(self.get_lr(), parts, strict=True)
            ]
        except (AttributeError, TypeError, ValueError) as error:
            raise ConfigError(f"optimizer {name}, optimizer_params {self.config.optimizer_params}: {error}") from error

    def get_lr(self) -> list[float]:
        """Return the first learning rates of discriminators and generator."""
        return [self.config.lr_disc, self.config.lr_gen]

    def get_scheduler(self, optimizer: list[torch.optim.Optimizer]) -> list:
        """Return the schedulers of both optimizers (raises :class:`ConfigError` for bad settings)."""
        settings = [
            (self.config.lr_scheduler_disc, self.config.lr_scheduler_disc_params),
            (self.config.lr_scheduler_gen, self.config.lr_scheduler_gen_params),
        ]
        try:
            return [get_scheduler(*one, part) for one, part in zip(settings, optimizer, strict=True)]
        except (AttributeError, TypeError, ValueError) as error:
            raise ConfigError(f"lr_scheduler {settings}: {error}") from error

    def on_init_start(self, trainer: Any) -> None:
        """Check the run before a checkpoint is loaded."""
        check_run(trainer, self)
        self.lock = lock_run(trainer)

    def on_init_end(self, trainer: Any) -> None:
        """Check the data, take up a run where it stood, and begin alike in every process."""
        check_data(trainer, self.gan.config)
        resume(trainer, self.progress)
        self.best_loss = best_loss(trainer)
        stop_at(trainer, self)
        share_state(self)

    def on_epoch_start(self, trainer: Any) -> None:
        """Put right what a continued run compares its first evaluation with."""
        if self.best_loss is not None:
            trainer.best_loss, self.best_loss = self.best_loss, None

    def on_train_epoch_start(self, trainer: Any) -> None:
        """Go to the batch that is next; from now on signals wait for the end of a step."""
        Stop.listen()
        batches = trainer.train_loader.batch_sampler
        if isinstance(batches, EpochBatches):
            self.progress.go_on(batches, trainer)

    def on_train_step_end(self, trainer: Any) -> None:
        """Say what goes wrong, where the trainer prints its losses."""
        if trainer.total_steps_done % trainer.config.print_step == 0 and rank_and_size()[0] == 0:
            self.health.look({name: float(value) for name, value in self.latest.items()}, int(self.gan.steps))
        stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: Any) -> None:
        """Save what a last epoch has reached, whether or not it is the best."""
        if trainer.epochs_done + 1 >= trainer.config.epochs:
            trainer.save_checkpoint()
        if self.progress.batches >= len(trainer.train_loader):
            self.progress.end_epoch(trainer.epochs_done + 1)

    def on_epoch_end(self, trainer: Any) -> None:
        """After the last epoch, leave signals and the run folder to others."""
        if trainer.epochs_done + 1 >= trainer.config.epochs:
            Stop.put_back()
            self.lock.close()

    def on_keyboard_interrupt(self, trainer: Any) -> None:
        """End as the signal says, now that the trainer has saved."""
        end(trainer)

    def get_extra_state(self) -> Tensor:
        """Return the progress, to be saved with the weights."""
        return torch.tensor(dataclasses.astuple(self.progress))

    def set_extra_state(self, state: Tensor) -> None:
        """Take up a saved progress."""
        self.progress = Progress(*state.tolist())

    def _source(self) -> Source:
        conversion = self._conversion_from(self.config.audio, "feature_path")
        return Source(self.gan.config.mel, self.config.audio.resample, conversion)

    def _conversion_from(self, audio: BaseAudioConfig, name: str) -> MelConversion:
        """Return the conversion of features, normalised as our config says, with the mel of ``audio``."""
        mean, scale = normalization(self.ap) or (None, None)
        return MelConversion(mel_config(audio), self.gan.config.mel, mean, scale, name)
