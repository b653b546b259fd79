"""Vocos (arXiv 2306.00814) by its own package, as a generator like any other: log-mel in, waveform out."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evagan_plugin.config import VocoderConfig
from evagan_plugin.errors import ConfigError, require

EXTRA = "vocos"
"""What installs the package."""


class VocosGenerator(nn.Module):
    """Backbone and head of a Vocos.

    Args:
        backbone: Maps log-mels (B, n_mels, F) to features (B, F, dim).
        head: Maps these to waveforms (B, T).
        repeat_last: Whether the last frame goes in twice: of F centred frames its head makes (F - 1) * hop samples.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, repeat_last: bool = False) -> None:
        super().__init__()
        self.backbone, self.head, self.repeat_last = backbone, head, repeat_last

    @classmethod
    def from_config(cls, config: VocoderConfig) -> "VocosGenerator":
        """Build the generator of a vocoder config's section ``vocos``, F frames to F * hop samples.

        Raises:
            ConfigError: If there is no such section.
            EvaganError: If the package is not installed.
        """
        if config.vocos is None:
            raise ConfigError(
                "vocoder: vocos needs vocoder_conf.generator: none and, in vocoder_conf.vocos, dim, intermediate_dim "
                "and num_layers",
                "vocos",
            )
        mel, sizes = config.mel, config.vocos
        backbone = require("vocos.models", EXTRA).VocosBackbone(
            input_channels=mel.n_mels,
            dim=sizes.dim,
            intermediate_dim=sizes.intermediate_dim,
            num_layers=sizes.num_layers,
            layer_scale_init_value=sizes.layer_scale_init_value,
        )
        head = require("vocos.heads", EXTRA).ISTFTHead(
            dim=sizes.dim, n_fft=mel.n_fft, hop_length=mel.hop_length, padding="center" if mel.center else "same"
        )
        return cls(backbone, head, repeat_last=mel.center)

    def forward(self, mel: Tensor) -> Tensor:
        """Map log-mels (B, n_mels, F) to waveforms (B, 1, F * hop), or (F - 1) * hop of centred frames as they are.

        Also under autocast the head computes in float32: an inverse Fourier transform in bfloat16 there is none.
        """
        features = self.backbone(F.pad(mel, (0, 1), mode="replicate") if self.repeat_last else mel)
        with torch.autocast(mel.device.type, enabled=False):
            return self.head(features.float()).unsqueeze(1)
