"""What a generator costs and sees, counted from its config alone: no weights are built and PyTorch is not loaded."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evagan_plugin.config import ContextConfig, GeneratorConfig, VocoderConfig

VOCOS_KERNEL = 7
"""Frames that each convolution of Vocos' backbone sees: a number in its package's code."""


@dataclass(frozen=True)
class GeneratorFacts:
    """Figures of one generator."""

    parameters: int
    """Parameters with weight normalisation folded in."""
    context_parameters: int
    """Of these, in the context-aware module."""
    gflops_per_second: float
    """Floating-point operations (1e9; a multiply-add is two) per second of audio, convolutions and linear layers."""
    receptive_field_frames: int
    """Mel frames that one output sample depends on, at most."""
    receptive_field_seconds: float
    """The same in seconds."""
    lookahead_frames: int
    """Of these, after the sample's own frame: what streaming waits for."""


@dataclass
class _Tally:
    """Layers, added up."""

    parameters: int = 0
    multiply_adds: int = 0
    """For a mel frame, of convolutions and linear layers."""

    def convolution(self, inputs: int, outputs: int, kernel: int = 1, steps: int = 1, groups: int = 1) -> None:
        """Add a convolution with a bias; a linear layer is one of kernel 1.

        Args:
            inputs: Channels.
            outputs: Channels.
            kernel: Taps.
            steps: Positions per mel frame: of the output, or of the input where it is transposed.
            groups: As PyTorch's.
        """
        weights = inputs * outputs * kernel // groups
        self.parameters += weights + outputs
        self.multiply_adds += weights * steps

    def norm(self, channels: int) -> None:
        """Add a LayerNorm."""
        self.parameters += 2 * channels


def inspect_generator(config: VocoderConfig) -> GeneratorFacts:
    """Count the generator of a config, layer by layer."""
    generator = config.generator
    context, upsampler = _Tally(), _Tally()
    if generator is None:
        _count_vocos(upsampler, config)
    else:
        if generator.context:
            _count_context(context, config.mel.n_mels, generator.context)
        _count_upsampler(upsampler, generator.context.dims[-1] if generator.context else config.mel.n_mels, generator)
    seen = list(_frames_seen(generator) if generator else _frames_of_vocos(config))
    frames = _longest(seen)
    frame_rate = config.mel.sample_rate / config.mel.hop_length
    return GeneratorFacts(
        parameters=context.parameters + upsampler.parameters,
        context_parameters=context.parameters,
        gflops_per_second=2 * (context.multiply_adds + upsampler.multiply_adds) * frame_rate / 1e9,
        receptive_field_frames=frames,
        receptive_field_seconds=frames / frame_rate,
        lookahead_frames=_latest(seen),
    )


def _count_context(tally: _Tally, n_mels: int, config: ContextConfig) -> None:
    """Add :class:`~evagan_plugin.model.context.ContextModule`."""
    width = n_mels
    for index, (dim, depth) in enumerate(zip(config.dims, config.depths, strict=True)):
        tally.norm(width if index else dim)
        tally.convolution(width, dim, 1 if index else config.kernel_size)
        for _ in range(depth):
            tally.convolution(dim, dim, config.kernel_size, groups=dim)
            tally.norm(dim)
            tally.convolution(dim, 4 * dim)
            tally.convolution(4 * dim, dim)
            tally.parameters += dim  # the layer scale
        width = dim
    tally.norm(width)


def _count_upsampler(tally: _Tally, inputs: int, config: GeneratorConfig) -> None:
    """Add :class:`~evagan_plugin.model.upsampler.Upsampler`."""
    channels, steps = config.channels, 1
    tally.convolution(inputs, channels, config.pre_kernel)
    if config.global_channels:
        tally.convolution(config.global_channels, channels, steps=0)  # once per utterance
    for rate, width in zip(config.upsample_rates, config.kernels, strict=True):
        tally.convolution(channels, channels // 2, width, steps)
        channels, steps = channels // 2, steps * rate
        for kernel, dilations in zip(config.resblock_kernels, config.dilations, strict=True):
            for _ in range(len(dilations) * (2 if config.resblock == 1 else 1)):
                tally.convolution(channels, channels, kernel, steps)
    if config.head.istft is None:
        tally.convolution(channels, 1, config.post_kernel, steps)
    else:
        n_fft = config.head.istft.n_fft
        tally.convolution(channels, n_fft + 2, config.post_kernel, steps)
        tally.multiply_adds += (n_fft + 2) * n_fft * steps  # the inverse transform, a product with its basis


def _count_vocos(tally: _Tally, config: VocoderConfig) -> None:
    """Add the backbone and the head of the package ``vocos``."""
    sizes, n_fft = config.vocos, config.mel.n_fft
    tally.convolution(config.mel.n_mels, sizes.dim, VOCOS_KERNEL)
    tally.norm(sizes.dim)
    for _ in range(sizes.num_layers):
        tally.convolution(sizes.dim, sizes.dim, VOCOS_KERNEL, groups=sizes.dim)
        tally.norm(sizes.dim)
        tally.convolution(sizes.dim, sizes.intermediate_dim)
        tally.convolution(sizes.intermediate_dim, sizes.dim)
        tally.parameters += sizes.dim  # the layer scale
    tally.norm(sizes.dim)
    tally.convolution(sizes.dim, n_fft + 2)


def _frames_of_vocos(config: VocoderConfig) -> Iterator[tuple[int, int]]:
    """Return for a Vocos what :func:`_frames_seen` returns for a generator of ours."""
    mel, reach = config.mel, (config.vocos.num_layers + 1) * (VOCOS_KERNEL // 2)
    skipped = mel.n_fft // 2 if mel.center else (mel.n_fft - mel.hop_length) // 2
    for sample in range(mel.hop_length):
        first, last = _frames_of_transform(mel.n_fft, mel.hop_length, skipped + sample)
        yield first - reach, last + reach


def receptive_field(config: GeneratorConfig) -> int:
    """Return how many mel frames can reach one output sample, the one that sees most."""
    return _longest(_frames_seen(config))


def lookahead_frames(config: GeneratorConfig) -> int:
    """Return how many mel frames after its own an output sample waits for, the one that waits longest."""
    return _latest(_frames_seen(config))


def _longest(seen: Iterable[tuple[int, int]]) -> int:
    return max(last - first + 1 for first, last in seen)


def _latest(seen: Iterable[tuple[int, int]]) -> int:
    return max(last for _, last in seen)


def _frames_seen(config: GeneratorConfig) -> Iterator[tuple[int, int]]:
    """Return, for each sample of a frame, the first and the last frame that reach it, counted from its own."""
    # Walk from an output sample back to the frames: [first, last] are positions at the current rate.
    plain = 1 if config.resblock == 1 else 0
    block = max(
        sum((dilation + plain) * (kernel - 1) for dilation in dilations)
        for kernel, dilations in zip(config.resblock_kernels, config.dilations, strict=True)
    )
    ahead = sum(config.lookaheads)
    behind = config.pre_kernel - 1 - ahead
    if config.context:
        behind += (sum(config.context.depths) + 1) * (config.context.kernel_size - 1)
    for sample in range(config.upsample_factor):
        first, last = _head_frames(config, sample)
        first, last = _widened(first, last, config.post_kernel - 1, config.causal)
        for rate, width in reversed(list(zip(config.upsample_rates, config.kernels, strict=True))):
            first, last = _widened(first, last, block, config.causal)
            padding = 0 if config.causal else (width - rate + 1) // 2
            # Output n of a transposed convolution sees inputs m with 0 <= n + padding - m * rate < width.
            first, last = -(-(first + padding - width + 1) // rate), (last + padding) // rate
        yield first - behind, last + ahead


def _widened(first: int, last: int, span: int, causal: bool) -> tuple[int, int]:
    """Return what convolutions whose kernels span so many steps see of a range of their outputs."""
    return (first - span, last) if causal else (first - span // 2, last + span // 2)


def _head_frames(config: GeneratorConfig, sample: int) -> tuple[int, int]:
    """Return the first and the last frame of the head's input that reach a sample of its output."""
    istft = config.head.istft
    if not istft:
        return sample, sample
    n_fft, hop = istft.n_fft, istft.hop_length
    skipped = 0 if config.causal else n_fft // 2 if istft.center else (n_fft - hop) // 2
    return _frames_of_transform(n_fft, hop, skipped + sample)


def _frames_of_transform(n_fft: int, hop: int, position: int) -> tuple[int, int]:
    """Return the first and the last frame of an inverse transform that reach a sample, counted from frame 0's start."""
    # The window is 0 at its first sample.
    return -(-(position - n_fft + 1) // hop), (position - 1) // hop
