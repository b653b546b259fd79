"""The ESPnet model of the vocoder task: batches in ESPnet's shapes to the steps of :class:`GANVocoder` and back."""

import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_gan_espnet_model import AbsGANESPnetModel
from torch import Tensor

from evagan_plugin.checkpoint.formats.training import VOCODER_TYPES
from evagan_plugin.espnet.task.baseline import hifigan_generator
from evagan_plugin.model.generator import EVAGANGenerator
from evagan_plugin.model.vocos import VocosGenerator
from evagan_plugin.training.gan import GANVocoder
from evagan_plugin.training.health import Health

GENERATOR, DISCRIMINATOR = 0, 1
"""Numbers of the optimizers."""


class ESPnetVocoderModel(AbsGANESPnetModel):
    """Trains a :class:`GANVocoder` under ESPnet's ``GANTrainer``.

    In ESPnet's checkpoints its weights begin with ``gan.generator.``, ``gan.discriminators.``, ``gan.balancer.``,
    ``gan.steps.`` and ``gan.ema.``.

    Args:
        gan: Generator, discriminators, mel, losses and balancer.
    """

    def __init__(self, gan: GANVocoder) -> None:
        super().__init__()
        self.gan = gan
        self.health = Health(gan.config.discriminators)

    def forward(
        self,
        wav: Tensor,
        feats: Tensor | None = None,
        smoothing: Tensor | None = None,
        forward_generator: bool = True,
    ) -> dict:
        """Score the generator or the discriminators.

        Args:
            wav: Waveforms (B, F * hop).
            feats: Log-mels (B, F, n_mels) to start from; computed from ``wav`` when None.
            smoothing: Width of each item's smoothing of the mel (B,), frames, or None.
            forward_generator: Whose step it is.

        Returns:
            dict: ``loss``, ``stats``, ``weight`` and ``optim_idx``, as ``AbsGANESPnetModel`` says.
        """
        take_step = self.gan.generator_step if forward_generator else self.gan.discriminator_step
        mel = None if feats is None else feats.transpose(1, 2)
        output = take_step(wav.unsqueeze(1), mel, smoothing=smoothing)
        # Filled in on the device: ESPnet would copy a number there, and wait for it.
        items = torch.full((), wav.shape[0], device=wav.device)
        loss, stats, weight = force_gatherable((output.loss, output.stats, items), wav.device)
        optimizer = GENERATOR if forward_generator else DISCRIMINATOR
        return {"loss": loss, "stats": stats, "weight": weight, "optim_idx": optimizer}

    @torch.no_grad()
    def synthesize(self, wav: Tensor, feats: Tensor | None = None) -> Tensor:
        """Return waveforms (B, F * hop) from ``feats`` or the mels of ``wav``; shapes as in :meth:`forward`."""
        frames = wav.shape[-1] // self.gan.config.mel.hop_length
        mel = self.gan.mel(wav.unsqueeze(1))[..., :frames] if feats is None else feats.transpose(1, 2)
        return self.gan.inference_generator(mel).squeeze(1)

    def collect_feats(self, wav: Tensor, feats: Tensor | None = None) -> dict[str, Tensor]:
        """Return the log-mels (B, F, n_mels) that the vocoder starts from; shapes as in :meth:`forward`."""
        return {"feats": self.gan.mel(wav.unsqueeze(1)).transpose(1, 2) if feats is None else feats}


_BUILDERS = (EVAGANGenerator.from_config, hifigan_generator, VocosGenerator.from_config)
GENERATOR_BUILDERS = dict(zip(VOCODER_TYPES, _BUILDERS, strict=True))
"""What builds the generator that ``vocoder:`` names from a :class:`VocoderConfig`."""
