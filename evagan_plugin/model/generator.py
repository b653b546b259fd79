"""EVA-GAN's generator: log-mel spectrogram in, waveform out (arXiv 2402.00892, section 3)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from evagan_plugin.config import GeneratorConfig, VocoderConfig, load_preset
from evagan_plugin.errors import UsageError
from evagan_plugin.model.context import ContextModule
from evagan_plugin.model.edges import Edges, Padding
from evagan_plugin.model.init import center, remove_weight_norm
from evagan_plugin.model.streaming import Past, State
from evagan_plugin.model.upsampler import Upsampler
from evagan_plugin.model.vocos import VocosGenerator

LOG_MEL_MEAN, LOG_MEL_DEVIATION = -5.0, 2.5
"""About what natural log-mels of speech and music have."""


class Normalization(nn.Module):
    """(mel - mean) / scale per band: statistics of a training set or about those, kept with the weights.

    They stay outside the first convolution's weights: its zero padding stands for the mean, so folding would be wrong
    at both ends. And it learns faster so: of log-mels as they are, a step of Adam moves the constant part of its output
    by more than all that differs between them.

    Args:
        n_mels: Mel bands.
        mean: First mean of every band.
        scale: First scale of every band.
    """

    def __init__(self, n_mels: int, mean: float, scale: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((n_mels, 1), mean))
        self.register_buffer("scale", torch.full((n_mels, 1), scale))

    def forward(self, mel: Tensor) -> Tensor:
        """Map log-mels (B, n_mels, F) to normalised ones."""
        return (mel - self.mean) / self.scale


class EVAGANGenerator(nn.Module):
    """Context-aware module, then upsampling stack with its head.

    Args:
        config: Sizes, activation, memory and conditioning.
        n_mels: Mel bands of the input, or channels of whatever else it is.
        input_mean: About the mean of the input, for the initial weights.
        input_deviation: About its standard deviation.
    """

    def __init__(
        self, config: GeneratorConfig, n_mels: int, input_mean: float = 0.0, input_deviation: float = 1.0
    ) -> None:
        super().__init__()
        self.config, self.n_mels = config, n_mels
        self.normalisation = nn.Identity()
        if config.normalize:
            self.normalisation = Normalization(n_mels, input_mean, input_deviation)
            input_mean, input_deviation = 0.0, 1.0
        self.context = ContextModule(n_mels, config.context, config.lookaheads) if config.context else nn.Identity()
        channels = config.context.dims[-1] if config.context else n_mels
        self.upsampler = Upsampler(channels, config, 1.0 if config.context else input_deviation**2)
        # The constant part of log-mels is larger than what differs between them.
        center(self.context.layers[0] if config.context else self.upsampler.pre, input_mean)

    @classmethod
    def from_config(cls, config: VocoderConfig) -> "EVAGANGenerator":
        """Build the generator of a vocoder config (raises :class:`ConfigError` where that is another one's)."""
        scale = config.mel.log_scale
        return cls(config.own_generator, config.mel.n_mels, scale * LOG_MEL_MEAN, scale * LOG_MEL_DEVIATION)

    @classmethod
    def from_preset(cls, name: str) -> "EVAGANGenerator":
        """Build the generator of a preset, e.g. ``"eva_gan_base_44k"``, with random weights."""
        return cls.from_config(load_preset(name))

    @property
    def upsample_factor(self) -> int:
        """Samples per frame."""
        return self.config.upsample_factor

    def forward(self, mel: Tensor, condition: Tensor | None = None, frames: Sequence[int] | None = None) -> Tensor:
        """Synthesise.

        Args:
            mel: Log-mels (B, n_mels, F).
            condition: Global condition such as a speaker embedding (B, global_channels, 1), or None.
            frames: In inference, the frames of each item (B), F those of the longest; whatever follows them changes
                nothing of the item's waveform, which ends after frames * hop samples. All have F when None.

        Returns:
            Tensor: Waveforms (B, 1, F * hop), in [-1, 1] (an iSTFT head's may leave it while training).

        Raises:
            UsageError: If the bands are others, a condition is given to a generator without ``global_channels``, or
                the frames do not fit the mels.
        """
        if frames is None:
            return self._generate(mel, condition, None)
        if len(frames) != len(mel) or min(frames) < 1 or max(frames) != mel.shape[-1]:
            raise UsageError(f"frames {list(frames)} are not those of a batch of shape {tuple(mel.shape)}")
        return self._generate(mel.clone(), condition, Padding(frames, mel.device))

    def step(
        self, state: State | None, mel: Tensor, last: bool = False, condition: Tensor | None = None
    ) -> tuple[State, Tensor]:
        """Synthesise the next chunk of a stream; a pure function, which computes nothing twice.

        All chunks' waveforms, joined, are what :meth:`forward` gives of all frames, in evaluation mode.

        Args:
            state: What the step before returned; None at the beginning.
            mel: The next log-mels (B, n_mels, F); F may be 0.
            last: Whether these are the last.
            condition: As for :meth:`forward`, the same at each step.

        Returns:
            tuple: State for the next step, and waveforms (B, 1, T): the samples that need no later frame, T = F * hop
            but for the first steps, which wait (:attr:`delay`), and the last.

        Raises:
            UsageError: As for :meth:`forward`.
        """
        edges = Past(state, last)
        wav = self._generate(mel, condition, edges)
        return edges.state, wav

    @property
    def delay(self) -> int:
        """Samples of the frames that went into a stream which wait for later frames, until its last step."""
        return self.upsampler.delay(sum(self.config.lookaheads))

    def _generate(self, mel: Tensor, condition: Tensor | None, edges: Edges | None) -> Tensor:
        if mel.dim() != 3 or mel.shape[1] != self.n_mels:
            raise UsageError(
                f"the generator takes mels of shape (batch, {self.n_mels}, frames), not {tuple(mel.shape)}"
            )
        if condition is not None and not self.config.global_channels:
            raise UsageError("a condition is given, but the generator has none: set generator.global_channels")
        x = self.normalisation(mel)
        x = self.context(x, edges) if self.config.context else x
        return self.upsampler(x, condition, edges)

    def remove_weight_norm(self) -> "EVAGANGenerator":
        """Fold weight normalisation into the weights, for inference; returns the generator."""
        remove_weight_norm(self)
        return self


def build_generator(config: VocoderConfig) -> EVAGANGenerator | VocosGenerator:
    """Build the generator that a vocoder config describes: ours, or another one's."""
    return (VocosGenerator if config.vocos else EVAGANGenerator).from_config(config)
