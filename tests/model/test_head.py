"""Heads: the inverse transform is exact from the first sample to the last, and exports with any length."""

import pytest
import torch
from torch.nn import functional as F

from evagan_plugin.config import TransformConfig, build_config, config_to_dict, load_preset
from evagan_plugin.errors import ConfigError
from evagan_plugin.evaluation.cost import inspect_generator, receptive_field
from evagan_plugin.model.generator import EVAGANGenerator
from evagan_plugin.model.head import INITIAL_RMS, LARGEST_LOG_MAGNITUDE, InverseTransformHead

TRANSFORMS = [(64, 16, True), (64, 16, False), (32, 16, False), (60, 12, True), (16, 4, False)]  # n_fft, hop, center


def settings(n_fft: int = 64, hop_length: int = 8, center: bool = False, **generator) -> dict:
    """Describe a small vocoder of hop 8 with an iSTFT head."""
    return {
        "mel": {"hop_length": 8, "n_fft": 64, "win_length": 64, "n_mels": 10, "sample_rate": 8000},
        "generator": {
            "context": {"dims": [12], "depths": [2], "layer_scale": 0.125, "drop_path": 0.0},
            "channels": 12,
            "upsample_rates": [],
            "head": {"istft": {"n_fft": n_fft, "hop_length": hop_length, "center": center}},
            **generator,
        },
        "discriminators": {"mrd": "none"},
    }


def small_generator(**overrides) -> EVAGANGenerator:
    torch.manual_seed(0)
    return EVAGANGenerator.from_config(build_config(settings(**overrides)))


def spectrum_of(wav: torch.Tensor, head: InverseTransformHead, window: torch.Tensor) -> torch.Tensor:
    """Return real and imaginary parts (B, n_fft + 2, F) of the frames that the head expects of waveforms (B, T)."""
    n_fft, hop = window.numel(), head.hop_length
    padded = F.pad(wav, (head.first, n_fft))
    frames = torch.stft(padded, n_fft, hop, window=window, center=False, return_complex=True)
    frames = frames[..., : wav.shape[-1] // hop]
    return torch.cat([frames.real, frames.imag], dim=1)


@pytest.mark.parametrize(("n_fft", "hop", "center"), TRANSFORMS)
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_the_transform_of_a_waveform_comes_back_whole(n_fft, hop, center, frames):
    head = InverseTransformHead(TransformConfig(n_fft, hop, center)).double()
    window = torch.hann_window(n_fft, dtype=torch.double)
    wav = torch.randn(2, frames * hop, dtype=torch.double)
    assert torch.allclose(head.inverse(spectrum_of(wav, head, window)), wav.unsqueeze(1), atol=1e-5)


@pytest.mark.parametrize(("n_fft", "hop"), [(64, 16), (96, 16), (60, 12)])
def test_it_is_the_inverse_transform_of_torch(n_fft, hop):
    """Also of spectra that no waveform has; torch.istft gives the samples between the first and the last centre."""
    head = InverseTransformHead(TransformConfig(n_fft, hop, center=True))
    log_magnitude, phase = (0.2 * torch.randn(2, 2, n_fft // 2 + 1, 12)).unbind()
    wav = head(torch.cat([log_magnitude, 30 * phase], dim=1)).squeeze(1)
    assert wav.abs().max() < 1
    window = torch.hann_window(n_fft)
    wanted = torch.istft(torch.polar(log_magnitude.exp(), 30 * phase), n_fft, hop, window=window)
    assert wav.shape == (2, 12 * hop)
    assert torch.allclose(wav[:, : 11 * hop], wanted, atol=1e-4)


def test_no_magnitude_is_too_large_and_no_phase_too_far():
    head = InverseTransformHead(TransformConfig(64, 16))
    loud = torch.full((1, head.channels, 5), -10.0)
    loud[:, 4], loud[:, head.bins :] = 1e4, 0.0
    assert 1 < head(loud).abs().max() < torch.tensor(LARGEST_LOG_MAGNITUDE).exp()
    assert head.eval()(loud).abs().max() == 1
    turned = torch.randn(1, head.channels, 5)
    back = turned.clone()
    back[:, head.bins :] += 2 * torch.pi
    assert torch.allclose(head(turned), head(back), atol=1e-4)


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"center": True},
        {"hop_length": 4, "n_fft": 16, "upsample_rates": [2]},
        {"hop_length": 2, "n_fft": 8, "upsample_rates": [2, 2], "upsample_kernels": [3, 4]},
    ],
)
@pytest.mark.parametrize("frames", [1, 7])
def test_generators_give_frames_times_hop(overrides, frames):
    generator = small_generator(**overrides)
    wav = generator(torch.randn(2, 10, frames))
    assert wav.shape == (2, 1, frames * 8)
    wav.square().sum().backward()
    # No phase of the first and the last bin but its cosine matters, so every parameter is reached all the same.
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in generator.parameters())


@pytest.mark.parametrize("overrides", [{}, {"hop_length": 4, "n_fft": 16, "upsample_rates": [2]}])
def test_phases_keep_their_precision_under_autocast(overrides):
    generator = small_generator(**overrides)
    seen = []
    generator.upsampler.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    mel = torch.randn(2, 10, 9) * 2.5 - 5.0
    with torch.autocast("cpu", torch.bfloat16):
        wav = generator(mel)
    wav.square().sum().backward()
    assert seen == [torch.float32] and wav.dtype == torch.float32
    assert (wav - generator(mel)).std() < 0.1 * wav.std()


@pytest.mark.parametrize(
    "overrides", [{}, {"center": True}, {"n_fft": 16}, {"hop_length": 4, "n_fft": 16, "upsample_rates": [2]}]
)
def test_receptive_field_is_what_gradients_see(overrides):
    generator = small_generator(**overrides).double().eval()
    mel = torch.randn(1, 10, 128, dtype=torch.double, requires_grad=True)
    wav = generator(mel)[0, 0]
    widths = []
    for phase in range(8):
        (gradient,) = torch.autograd.grad(wav[64 * 8 + phase], mel, retain_graph=True)
        touched = gradient.abs().sum((0, 1)).nonzero()
        widths.append(int(touched.max() - touched.min() + 1))
    assert max(widths) == receptive_field(generator.config)


@pytest.mark.parametrize("overrides", [{}, {"hop_length": 4, "n_fft": 16, "upsample_rates": [2]}])
def test_training_starts_quietly_and_hears_its_mel(overrides):
    generator = small_generator(**overrides).eval()
    one, other = (generator(torch.randn(1, 10, 200) * 2.5 - 5.0) for _ in range(2))
    assert INITIAL_RMS / 3 < one.square().mean().sqrt() < 3 * INITIAL_RMS
    assert (one - other).std() > 0.5 * one.std()


def test_weights_have_the_same_names_under_either_head():
    waveform = EVAGANGenerator.from_config(build_config(settings(head="waveform", upsample_rates=[4, 2])))
    istft = small_generator(hop_length=1, n_fft=4, center=True, upsample_rates=[4, 2])
    assert waveform.state_dict().keys() == istft.state_dict().keys()


def test_any_length_exports_without_complex_tensors():
    generator = small_generator(center=True).eval().remove_weight_norm()
    frames = torch.export.Dim("frames", min=2, max=4096)
    program = torch.export.export(generator, (torch.randn(1, 10, 9),), dynamic_shapes=({2: frames},))
    for count in (2, 31):
        mel = torch.randn(1, 10, count)
        assert torch.allclose(program.module()(mel), generator(mel), atol=1e-6)
    values = [node.meta.get("val") for node in program.graph.nodes]
    assert not any(isinstance(value, torch.Tensor) and value.is_complex() for value in values)


def test_the_paper_s_head_is_the_default():
    assert build_config(settings(head="waveform", upsample_rates=[4, 2])).generator.head.istft is None
    assert load_preset("eva_gan_base_44k").generator.head.istft is None


@pytest.mark.parametrize(("head", "rates"), [("waveform", [4, 2]), ({"istft": {"n_fft": 16, "hop_length": 4}}, [2])])
def test_a_head_survives_being_written(head, rates):
    config = build_config(settings(head=head, upsample_rates=rates))
    assert build_config(config_to_dict(config)) == config


def test_operations_of_the_inverse_transform_are_counted():
    config = build_config(settings())
    per_frame = 10 * 12 * 7 + 2 * (12 * 7 + 2 * 12 * 48) + 12 * 12 * 7 + 12 * 66 * 7 + 66 * 64
    assert inspect_generator(config).gflops_per_second == pytest.approx(2 * per_frame * 1000 / 1e9, rel=1e-6)


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ({"hop_length": 4, "n_fft": 16}, r"head\.istft\.hop_length 4 = 4 is not mel\.hop_length 8"),
        (
            {"hop_length": 4, "n_fft": 16, "upsample_rates": [3]},
            r"generator\.upsample_rates 3 x head\.istft\.hop_length 4 = 12 is not mel\.hop_length 8",
        ),
        ({"n_fft": 60}, "n_fft 60 must be even and a multiple of hop_length 8, 2 times it at least"),
        ({"n_fft": 8}, "n_fft 8 must be even and a multiple of hop_length 8, 2 times it at least"),
        ({"n_fft": 16, "center": True}, "hop_length 8, 4 times it at least where center is true"),
        ({"hop_length": 1, "n_fft": 4, "upsample_rates": [4, 2]}, "hop_length 1 must be even where center is false"),
        ({"head": "waveform"}, "the waveform head needs stages"),
        ({"head": {"istf": {}}}, r"unknown config field 'generator\.head\.istf'.*istft"),
        ({"head": "wavefrom"}, r"generator\.head.*wavefrom"),
    ],
)
def test_a_head_that_does_not_fit_is_told(generator, message):
    with pytest.raises(ConfigError, match=message):
        build_config(settings(**{"channels": 16, **generator}))
