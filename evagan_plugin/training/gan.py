"""The two steps of GAN training, once, for every host.

A host calls :meth:`GANVocoder.discriminator_step` and :meth:`GANVocoder.generator_step` on each batch, in its own
order, and steps its own optimizers on the losses that they return.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from evagan_plugin.audio.mel import MelSpectrogram
from evagan_plugin.config import VocoderConfig
from evagan_plugin.config.parts import AVERAGE, AVERAGE_STEPS, GENERATOR, STATISTICS, STEPS
from evagan_plugin.errors import UsageError
from evagan_plugin.model.discriminators import build_discriminators
from evagan_plugin.model.generator import EVAGANGenerator
from evagan_plugin.training.average import GeneratorAverage, StepCount
from evagan_plugin.training.losses import (
    LossBalancer,
    MelLoss,
    MultiResolutionSTFTLoss,
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
)
from evagan_plugin.training.smoothing import smooth
from evagan_plugin.training.statistics import GatheredMels

FULL_SCALE = 0.99
"""Magnitude from which a sample counts as saturated."""


class StepOutput(NamedTuple):
    """What one step gives a host."""

    loss: Tensor
    """Scalar to call ``backward`` on."""
    stats: dict[str, Tensor]
    """Detached scalars by log name; ``loss`` is the weighted sum of the true losses."""
    fake: Tensor | None
    """Generated waveforms (B, 1, T), detached; None from a step of discriminators that have not started."""


class GANVocoder(nn.Module):
    """Generator, discriminators, mel front end, losses, balancer and the generator's moving average of one vocoder.

    ``training.ema`` averages the weights that each generator step starts from. In evaluation mode the average stands
    in for the generator. The number of steps, the average and the statistics of the mels are saved; a state without
    them, of an older version or another config, is completed when it is loaded.

    Args:
        config: The whole vocoder.
        generator: Another generator (B, n_mels, F) -> (B, 1, F * hop) to train in place of EVA-GAN's, or None.
    """

    def __init__(self, config: VocoderConfig, generator: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.generator = EVAGANGenerator.from_config(config) if generator is None else generator
        self.discriminators = build_discriminators(config.discriminators)
        self.mel = MelSpectrogram(config.mel)
        self.weights = config.weights
        self.mel_loss = MelLoss(config.mel)
        self.stft_loss = MultiResolutionSTFTLoss()
        balancer = config.balancer
        self.balancer = balancer and LossBalancer(self.weights, balancer.total_norm, balancer.decay, balancer.epsilon)
        self.steps = StepCount()
        self.mel_statistics = GatheredMels()
        decay = config.training.ema
        self.ema = decay and GeneratorAverage(self.generator, decay)

    @property
    def discriminating(self) -> bool:
        """Whether the discriminators have started (``training.discriminator_start_steps``)."""
        start = self.config.training.discriminator_start_steps
        return start == 0 or int(self.steps) >= start

    @property
    def inference_generator(self) -> nn.Module:
        """What is validated and synthesises: the moving average, where there is one of any steps."""
        return self.ema.generator if self.ema and int(self.ema.steps) else self.generator

    def generator_step(
        self,
        wav: Tensor,
        mel: Tensor | None = None,
        condition: Tensor | None = None,
        smoothing: Tensor | None = None,
    ) -> StepOutput:
        """Score the generator.

        In training mode ``loss`` is a surrogate: its gradient is the balanced one (the weighted sum's with
        ``balancer: off``) and reaches the generator alone. In evaluation mode it is the weighted sum itself and
        the balancer is left as it is.

        Args:
            wav: Real waveforms (B, 1, F * hop).
            mel: Log-mels (B, n_mels, F) to start from; computed from ``wav`` when None.
            condition: Global condition (B, global_channels, 1), or None.
            smoothing: Width of each item's smoothing of the mel (B,), as :func:`smooth` defines it, or None.

        Raises:
            UsageError: If lengths do not agree.
        """
        balancing = self.training and torch.is_grad_enabled()
        if balancing and self.ema:
            self.ema.update(self.generator)
        fake = self._generate(wav, mel, condition, smoothing)
        y = fake.detach().requires_grad_(balancing)
        gradients: dict[str, Tensor] = {}
        stats: dict[str, Tensor] = {}
        for group in self._generator_losses(wav, y):
            names = list(group)
            for name in names:
                stats[name] = group[name].detach()
                if balancing:
                    # Taken group by group, so that one discriminator's graph is freed before the next is built;
                    # the discriminators' own gradients are never computed.
                    gradients[name] = torch.autograd.grad(group[name], y, retain_graph=name != names[-1])[0]
        stats["loss"] = sum(self.weights[name] * stats[name] for name in list(stats))
        stats |= _levels(wav, y.detach())
        if not balancing:
            return StepOutput(stats["loss"], stats, y)
        self.steps.add()
        if self.balancer is None:
            gradient = sum(self.weights[name] * gradient for name, gradient in gradients.items())
        else:
            gradient, balance = self.balancer.combine(gradients)
            stats |= {f"balancer/{name}": value for name, value in balance.items()}
        return StepOutput((fake * gradient).sum(), stats, y.detach())

    def discriminator_step(
        self,
        wav: Tensor,
        mel: Tensor | None = None,
        condition: Tensor | None = None,
        smoothing: Tensor | None = None,
    ) -> StepOutput:
        """Score the discriminators; the loss reaches them alone. Arguments as in :meth:`generator_step`.

        Before they start the loss is a zero that reaches nothing: parameters get no gradient, which optimizers leave
        as they are, whatever their weight decay.
        """
        if not self.discriminating:
            stats = {f"disc_{name}": wav.new_zeros(()) for name in (*self.discriminators, "loss")}
            return StepOutput(wav.new_zeros((), requires_grad=torch.is_grad_enabled()), stats, None)
        with torch.no_grad():
            fake = self._generate(wav, mel, condition, smoothing)
        real, cropped = self._crop(wav, fake)
        stats: dict[str, Tensor] = {}
        loss = wav.new_zeros(())
        for name, group in self.discriminators.items():
            with self._autocast(wav):
                real_outputs, fake_outputs = group.forward_pair(real, cropped)
            one = discriminator_loss(real_outputs, fake_outputs)
            loss = loss + one
            stats[f"disc_{name}"] = one.detach()
        stats["disc_loss"] = loss.detach()
        return StepOutput(loss, stats, fake)

    def _generate(self, wav: Tensor, mel: Tensor | None, condition: Tensor | None, smoothing: Tensor | None) -> Tensor:
        hop = self.config.mel.hop_length
        if wav.dim() != 3 or wav.shape[1] != 1 or wav.shape[-1] % hop:
            raise UsageError(f"waveforms of shape (batch, 1, a multiple of {hop}) are expected, not {tuple(wav.shape)}")
        if mel is None:
            with torch.no_grad():
                # Centred framing has one frame more than fits: it lies at the very end.
                mel = self.mel(wav)[..., : wav.shape[-1] // hop]
        if mel.shape[-1] * hop != wav.shape[-1]:
            raise UsageError(f"{mel.shape[-1]} mel frames of {hop} samples do not fit a waveform of {wav.shape[-1]}")
        if self.training and torch.is_grad_enabled():  # once per batch: of the pass that trains the generator
            self.mel_statistics.add(mel)
        if smoothing is not None:
            mel = smooth(mel, smoothing, math.ceil(self.config.training.mel_smoothing))
        with self._autocast(wav):
            generator = self.generator if self.training else self.inference_generator
            fake = generator(mel) if condition is None else generator(mel, condition)
        return fake.to(wav.dtype)

    def _generator_losses(self, wav: Tensor, fake: Tensor) -> Iterator[dict[str, Tensor]]:
        """Yield the losses that have a weight, those that share a graph together."""
        if "mel" in self.weights:
            yield {"mel": self.mel_loss(fake, wav)}
        if "stft" in self.weights:
            yield {"stft": self.stft_loss(fake, wav)}
        if not self.discriminating:
            return
        real, fake = self._crop(wav, fake)
        for name, group in self.discriminators.items():
            losses: dict[str, Tensor] = {}
            if not {f"adv_{name}", f"fm_{name}"} & self.weights.keys():
                continue
            with self._autocast(wav):
                fake_outputs = group(fake)
                if f"fm_{name}" in self.weights:
                    with torch.no_grad():
                        real_outputs = group(real)
                    losses[f"fm_{name}"] = feature_matching_loss(real_outputs, fake_outputs)
            if f"adv_{name}" in self.weights:
                losses[f"adv_{name}"] = generator_loss(fake_outputs)
            yield losses

    def complete_state(self, state: dict[str, Tensor], prefix: str = "") -> None:
        """Add to a state what a version or a config without it did not save, and take out what this config has not.

        Args:
            state: Tensors by name; changed in place.
            prefix: What stands before the names of this module.
        """
        below = {part: [name for name in state if name.startswith(prefix + part)] for part in (GENERATOR, AVERAGE)}
        if not below[GENERATOR]:
            return
        # The balancer has counted the same steps for longer.
        state.setdefault(f"{prefix}{STEPS}", state.get(f"{prefix}balancer.step", torch.zeros(())).clone())
        for name, sizes in zip(STATISTICS, ((4,), ()), strict=True):
            state.setdefault(f"{prefix}{name}", torch.zeros(sizes))
        if self.balancer:
            for name, value in self.balancer.state_dict().items():
                state.setdefault(f"{prefix}balancer.{name}", value.clone())
        if not self.ema:
            for name in below[AVERAGE]:
                del state[name]
        elif not below[AVERAGE]:
            for name in below[GENERATOR]:
                state[prefix + AVERAGE + name.removeprefix(prefix)] = state[name]
            state[prefix + AVERAGE_STEPS] = torch.zeros(())

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *arguments: object) -> None:
        self.complete_state(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def _crop(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Cut the same random run of frames out of both, where ``training.discriminator_frames`` is given."""
        frames, hop = self.config.training.discriminator_frames, self.config.mel.hop_length
        surplus = 0 if frames is None or not self.training else real.shape[-1] // hop - frames
        if surplus <= 0:
            return real, fake
        start = int(torch.randint(surplus + 1, ())) * hop
        return real[..., start : start + frames * hop], fake[..., start : start + frames * hop]

    def _autocast(self, wav: Tensor) -> torch.autocast:
        return torch.autocast(wav.device.type, torch.bfloat16, enabled=self.config.training.bf16)


def _levels(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Return the level of generated audio to that of the recordings, and the part of its samples at full scale."""
    level = fake.norm() / real.norm().clamp(min=1e-8)
    return {"fake/level": level, "fake/saturated": (fake.abs() > FULL_SCALE).to(fake.dtype).mean()}
