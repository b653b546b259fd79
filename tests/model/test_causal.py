"""Causal generators: changing the future changes nothing in the past, in every layer; no more is ahead than said."""

from functools import partial

import generators
import pytest
import torch
from torch import nn

from evagan_plugin.config import TransformConfig, build_config, load_preset
from evagan_plugin.errors import ConfigError
from evagan_plugin.evaluation.cost import lookahead_frames, receptive_field
from evagan_plugin.model.generator import EVAGANGenerator
from evagan_plugin.model.head import InverseTransformHead

FRAMES, CHANGED = 40, 25
ISTFT = {"upsample_rates": [2], "head": {"istft": {"n_fft": 16, "hop_length": 4}}}
KINDS = {
    "waveform": {},
    "odd kernels": {"upsample_rates": [2, 4], "upsample_kernels": [5, 4], "resblock": 2},
    "no context": {"context": "none", "activation": "leaky_relu"},
    "istft": ISTFT,
    "istft alone": {"upsample_rates": [], "head": {"istft": {"n_fft": 32, "hop_length": 8}}},
}


small_generator = partial(generators.small_generator, causal=True)


def outputs_of(generator: EVAGANGenerator, mel: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the output of every layer, time last, by name; Linear and LayerNorm have theirs before the channels."""
    seen, handles = {}, []
    for name, layer in generator.named_modules():
        channels_last = isinstance(layer, nn.Linear | nn.GELU) or type(layer) is nn.LayerNorm

        def keep(layer, inputs, output, name=name, channels_last=channels_last):
            seen[name] = output.transpose(1, 2) if channels_last else output

        handles.append(layer.register_forward_hook(keep))
    with torch.no_grad():
        generator(mel)
    for handle in handles:
        handle.remove()
    return seen


def changed_layers(generator: EVAGANGenerator, lookahead: int) -> tuple[list[str], list[str]]:
    """Return the layers in which a change from frame 25 on reaches what is before it, and those that it does not reach
    at all."""
    mel = torch.randn(2, generator.n_mels, FRAMES, dtype=torch.double)
    other = torch.cat([mel[..., :CHANGED], torch.randn_like(mel[..., CHANGED:])], dim=-1)
    early, never = [], []
    seen = outputs_of(generator, mel), outputs_of(generator, other)
    assert len(seen[0]) > 10
    for name, output in seen[0].items():
        difference = (output - seen[1][name]).abs().amax((0, 1))
        steps = output.shape[-1] // FRAMES
        assert output.shape[-1] == steps * FRAMES, name
        if difference[: (CHANGED - lookahead) * steps].any():
            early.append(name)
        if not difference.any():
            never.append(name)
    return early, never


@pytest.mark.parametrize("lookahead", [0, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_the_future_changes_nothing_in_the_past(kind, lookahead):
    overrides = KINDS[kind]
    if overrides.get("context"):
        lookahead = min(lookahead, 3)  # what the convolution before the stages has
    generator = small_generator(**overrides, lookahead_frames=lookahead)
    early, never = changed_layers(generator, lookahead)
    assert early == never == []
    if lookahead:  # and all of it is used
        assert changed_layers(generator, lookahead - 1)[0]


@pytest.mark.parametrize("preset", ["eva_gan_tiny_16k_causal"])
def test_a_causal_preset_is_causal_in_every_layer(preset):
    generator = EVAGANGenerator.from_preset(preset).remove_weight_norm().double().eval()
    assert changed_layers(generator, 0) == ([], [])
    assert lookahead_frames(generator.config) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_any_other_generator_sees_ahead(kind):
    assert changed_layers(small_generator(**KINDS[kind], causal=False), 0)[0]


@pytest.mark.parametrize("causal", [{"lookahead_frames": 0}, {"lookahead_frames": 5}, {"causal": False}])
@pytest.mark.parametrize("kind", ["waveform", "odd kernels", "istft", "istft alone"])
def test_what_a_sample_sees_is_counted(kind, causal):
    generator = small_generator(**KINDS[kind], **causal)
    mel = torch.randn(1, 10, 192, dtype=torch.double, requires_grad=True)
    wav = generator(mel)[0, 0]
    widths, aheads = [], []
    for phase in range(8):
        (gradient,) = torch.autograd.grad(wav[128 * 8 + phase], mel, retain_graph=True)
        touched = gradient.abs().sum((0, 1)).nonzero()
        widths.append(int(touched.max() - touched.min() + 1))
        aheads.append(int(touched.max() - 128))
    assert (max(widths), max(aheads)) == (receptive_field(generator.config), lookahead_frames(generator.config))


@pytest.mark.parametrize("kind", KINDS)
def test_activations_computed_again_change_no_gradient(kind):
    gradients = []
    for recompute in (True, False):
        generator = small_generator(**KINDS[kind], recompute_activation=recompute)
        torch.manual_seed(1)
        generator.train()(torch.randn(2, 10, 9, dtype=torch.double)).square().sum().backward()
        gradients.append([parameter.grad for parameter in generator.parameters()])
    for ours, plain in zip(*gradients, strict=True):
        assert torch.allclose(ours, plain, atol=1e-12)


@pytest.mark.parametrize(("n_fft", "hop"), [(64, 16), (32, 16)])
def test_a_causal_transform_fades_in_and_is_exact_from_then_on(n_fft, hop):
    head = InverseTransformHead(TransformConfig(n_fft, hop), causal=True).double()
    wav = torch.randn(2, 9 * hop + n_fft, dtype=torch.double)
    frames = torch.stft(wav, n_fft, hop, window=torch.hann_window(n_fft).double(), center=False, return_complex=True)
    back = head.inverse(torch.cat([frames.real, frames.imag], dim=1)).squeeze(1)
    assert back.shape == (2, 10 * hop)
    assert torch.allclose(back[:, n_fft - hop :], wav[:, n_fft - hop : 10 * hop], atol=1e-5)
    assert torch.isfinite(back).all() and back.abs().max() <= wav.abs().max() * n_fft / hop


@pytest.mark.parametrize(
    ("generator", "field"),
    [
        ({"lookahead_frames": 2}, "generator.lookahead_frames"),
        ({"causal": True, "lookahead_frames": 30}, "generator.lookahead_frames"),
        ({"causal": True, "lookahead_frames": -1}, "generator.lookahead_frames"),
        ({"causal": True}, "generator.head.istft.center"),
        ({"causal": "maybe"}, "generator.causal"),
    ],
)
def test_what_contradicts_causality_is_told(generator, field):
    with pytest.raises(ConfigError) as caught:
        build_config({"preset": "eva_gan_tiny_16k", "generator": generator})
    assert caught.value.field == field


def test_the_causal_preset_is_small_and_hears_the_mel_of_the_other():
    config, other = load_preset("eva_gan_tiny_16k_causal"), load_preset("eva_gan_tiny_16k")
    assert config.mel == other.mel
    assert 2 * sum(p.numel() for p in EVAGANGenerator.from_config(config).remove_weight_norm().parameters()) < 2.8e6
