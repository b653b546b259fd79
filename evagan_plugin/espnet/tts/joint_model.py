"""Joint training with the losses of EVA-GAN and its balancer (``tts: eva_gan_joint``).

ESPnet's ``joint_text2wav`` adds the vocoder's losses with fixed coefficients. This model takes the vocoder's two steps
from :class:`GANVocoder` instead; ``vocoder_params`` is a whole vocoder config, and ``balancer: off`` is possible.
"""

from typing import Any

import torch
from espnet2.gan_tts.joint.joint_text2wav import JointText2Wav
from espnet2.gan_tts.utils import get_random_segments, get_segments
from espnet2.torch_utils.device_funcs import force_gatherable
from torch import Tensor

from evagan_plugin.errors import ConfigError, nearest
from evagan_plugin.espnet.tts.joint import generator_config
from evagan_plugin.training.gan import GANVocoder

SECTIONS = ("mel", "generator", "discriminators", "losses", "balancer", "training")
OPTIONS = ("segment_size", "sampling_rate", "text2mel_type", "text2mel_params", "lambda_text2mel")
"""What has a meaning here of the options of ``JointText2Wav``; the rest is in ``vocoder_params``."""

ALONE = ("ema", "gain_db", "pitch_shift", "mel_smoothing")
"""What a stand-alone vocoder alone has of ``training``: an average would leave the acoustic model out, and items are
ESPnet's."""

PLACEHOLDER_DISCRIMINATOR = {"mpd": {"periods": [1], "channels": 1, "max_channels": 1}, "mrd": "none"}
"""The discriminator that ESPnet's constructor insists on; it is thrown away."""


class EVAGANJointText2Wav(JointText2Wav):
    """An acoustic model of ESPnet and EVA-GAN, trained together.

    The vocoder's gradient reaches the acoustic model too. Checkpoints hold the vocoder's tensors under ``gan.`` as
    well as under ESPnet's names ``generator.vocoder.`` and ``discriminator.``; they are the same tensors.

    Args:
        idim: Number of tokens.
        odim: Acoustic feature dimension.
        vocoder_params: A vocoder config (see :func:`evagan_plugin.config.loading.build_config`).
        options: :data:`OPTIONS` of ``JointText2Wav``.

    Raises:
        ConfigError: If the vocoder config is wrong, or an option would have no effect.
    """

    def __init__(self, idim: int, odim: int, vocoder_params: dict[str, Any], **options: Any) -> None:
        for name in options.keys() - set(OPTIONS):
            raise ConfigError(f"tts_conf: {name} has no effect in eva_gan_joint: {nearest(name, OPTIONS)}")
        config = generator_config(vocoder_params, SECTIONS)
        for name in ALONE:
            if getattr(config.training, name):
                raise ConfigError(f"vocoder_params.training.{name} has no effect in eva_gan_joint: leave it out")
        parts = {name: vocoder_params[name] for name in ("preset", "mel", "generator") if name in vocoder_params}
        super().__init__(
            idim=idim,
            odim=odim,
            vocoder_type="eva_gan",
            vocoder_params=parts,
            discriminator_type="eva_gan_discriminator",
            discriminator_params=PLACEHOLDER_DISCRIMINATOR,
            use_feat_match_loss=False,
            use_mel_loss=False,
            **options,
        )
        self.gan = GANVocoder(config, self.generator["vocoder"])
        self.discriminator = self.gan.discriminators

    def _forward_generator(self, **batch: Tensor) -> dict[str, Any]:
        text2mel_loss, stats, feats, wav = self._cut(**batch)
        output = self.gan.generator_step(wav, feats)
        stats |= {name: value.item() for name, value in output.stats.items()}
        stats |= {
            "text2mel_loss": text2mel_loss.item(),
            "vocoder_loss": stats["loss"],
            "loss": self.lambda_text2mel * text2mel_loss.item() + stats["loss"],
        }
        return self._result(self.lambda_text2mel * text2mel_loss + output.loss, stats, wav.shape[0], optimizer=0)

    def _forward_discrminator(self, **batch: Tensor) -> dict[str, Any]:
        with torch.no_grad():
            _, _, feats, wav = self._cut(**batch)
        output = self.gan.discriminator_step(wav, feats)
        stats = {name: value.item() for name, value in output.stats.items()}
        return self._result(output.loss, stats, wav.shape[0], optimizer=1)

    def _cut(self, speech: Tensor, speech_lengths: Tensor, **batch: Tensor) -> tuple[Tensor, dict, Tensor, Tensor]:
        """Run the acoustic model and cut the same stretches out of its features and the speech.

        Returns:
            tuple: The acoustic model's loss and statistics, features (B, odim, segment_size) and waveforms
            (B, 1, segment_size * hop).
        """
        loss, stats, feats = self.generator["text2mel"](**batch, joint_training=True)
        segments, starts = get_random_segments(feats.transpose(1, 2), batch["feats_lengths"], self.segment_size)
        hop = self.generator["vocoder"].upsample_factor
        wav = get_segments(speech.unsqueeze(1), starts * hop, self.segment_size * hop)
        return loss, stats, segments, wav

    def _result(self, loss: Tensor, stats: dict, items: int, optimizer: int) -> dict[str, Any]:
        loss, stats, weight = force_gatherable((loss, stats, items), loss.device)
        return {"loss": loss, "stats": stats, "weight": weight, "optim_idx": optimizer}
