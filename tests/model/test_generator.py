"""The generator: the paper's sizes, exact lengths, ablations, memory switches, what reaches what."""

import pytest
import torch

from evagan_plugin.config import GeneratorConfig, build_config, load_preset
from evagan_plugin.errors import UsageError
from evagan_plugin.evaluation.cost import inspect_generator, receptive_field
from evagan_plugin.model.context import ConvNeXtBlock
from evagan_plugin.model.generator import EVAGANGenerator

SMALL = {"context": {"dims": [8, 12], "depths": [1, 2]}, "channels": 16, "upsample_rates": [4, 2]}


def small_generator(**overrides) -> EVAGANGenerator:
    torch.manual_seed(0)
    settings = SMALL | overrides
    mel = {"hop_length": 8, "n_fft": 64, "win_length": 64, "n_mels": 10, "sample_rate": 8000}
    config = build_config({"mel": mel, "generator": settings, "discriminators": {"mrd": "none"}})
    return EVAGANGenerator.from_config(config)


def log_mels(generator: EVAGANGenerator) -> torch.Tensor:
    """Return noise with mean and deviation of natural log-mels of recordings (1, bands, 30)."""
    return torch.randn(1, generator.n_mels, 30) * 2.5 - 5.0


@pytest.mark.parametrize(
    ("preset", "parameters"),
    [
        ("eva_gan_base_44k", 16_275_345),
        ("eva_gan_big_44k", 174_446_137),
        ("eva_gan_base_24k", 16_266_881),
        ("eva_gan_big_24k", 174_407_953),
        ("eva_gan_base_22k", 16_262_401),
        ("eva_gan_mini_16k", 1_320_385),
        ("eva_gan_tiny_16k", 3_644_418),
        ("eva_gan_tiny_16k_causal", 1_235_714),
        ("eva_gan_tiny_22k", 3_644_418),
        ("firefly_gan_base_44k", 36_500_897),
        ("hifigan_v1_22k", 13_926_017),
    ],
)
def test_parameters_of_presets(preset, parameters):
    assert inspect_generator(load_preset(preset)).parameters == parameters


def test_parameters_are_counted_after_weight_norm_is_removed():
    generator = EVAGANGenerator.from_preset("eva_gan_base_44k")
    with_norm = sum(p.numel() for p in generator.parameters())
    assert sum(p.numel() for p in generator.remove_weight_norm().parameters()) == 16_275_345 < with_norm


@pytest.mark.parametrize("rates", [[4, 2], [8], [2, 2, 2], [3, 5]])
@pytest.mark.parametrize("frames", [1, 7])
def test_output_is_frames_times_hop(rates, frames):
    generator = EVAGANGenerator(GeneratorConfig(**SMALL | {"upsample_rates": rates}), n_mels=10)
    wav = generator(torch.randn(2, 10, frames))
    assert wav.shape == (2, 1, frames * generator.upsample_factor)
    assert wav.abs().max() <= 1


def test_removing_weight_norm_changes_nothing():
    generator = small_generator().eval()
    mel = torch.randn(1, 10, 9)
    before = generator(mel)
    assert torch.allclose(generator.remove_weight_norm()(mel), before, atol=1e-6)


@pytest.mark.parametrize("switch", [{"recompute_activation": False}, {"checkpointing": True}])
@pytest.mark.parametrize("activation", ["silu", "leaky_relu"])
def test_memory_switches_leave_output_and_gradients_alone(switch, activation):
    results = []
    for overrides in ({}, switch):
        generator = small_generator(activation=activation, **overrides).double().train()
        wav = generator(torch.linspace(-1, 1, 60, dtype=torch.double).view(1, 10, 6))
        wav.square().sum().backward()
        results.append([wav, *(p.grad for p in generator.parameters())])
    for left, right in zip(*results, strict=True):
        assert torch.allclose(left, right, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("overrides", [{}, {"context": "none"}, {"activation": "leaky_relu"}, {"global_channels": 4}])
def test_gradients_reach_every_parameter(overrides):
    generator = small_generator(**overrides)
    condition = torch.randn(1, 4, 1) if "global_channels" in overrides else None
    generator(torch.randn(1, 10, 6), condition).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in generator.parameters())


@pytest.mark.parametrize("preset", ["eva_gan_base_44k", "eva_gan_mini_16k", "eva_gan_tiny_16k", "hifigan_v1_22k"])
def test_training_starts_from_quiet_waveforms_without_an_offset(preset):
    """Loud ones take hundreds of steps to become quiet, and a log-mel hears no offset."""
    torch.manual_seed(0)
    generator = EVAGANGenerator.from_preset(preset)
    with torch.no_grad():
        wav = generator(log_mels(generator))
    assert 0.005 < wav.square().mean().sqrt() < 0.06
    assert wav.mean().abs() < min(0.03, wav.std())


@pytest.mark.parametrize("mel", [{}, {"log": "log10"}])
@pytest.mark.parametrize("context", [{}, {"context": "none"}])
def test_the_first_layer_centres_log_mels(mel, context):
    torch.manual_seed(0)
    config = build_config({"preset": "eva_gan_mini_16k", "mel": mel, "generator": context})
    generator = EVAGANGenerator.from_config(config)
    first = generator.upsampler.pre if context else generator.context.layers[0]
    with torch.no_grad():
        channels = first(config.mel.log_scale * log_mels(generator)).mean(dim=(0, 2))
    assert channels.abs().mean() < 0.4  # without: 0.7 to 2


@pytest.mark.parametrize("log", ["ln", "log10", "db"])
def test_normalised_log_mels_reach_a_new_generator_with_mean_0_and_deviation_1(log):
    config = build_config({"preset": "eva_gan_mini_16k", "mel": {"log": log}, "generator": {"normalize": True}})
    generator = EVAGANGenerator.from_config(config)
    seen = generator.normalisation(config.mel.log_scale * log_mels(generator))
    assert seen.mean().abs() < 0.1
    assert seen.std() == pytest.approx(1.0, abs=0.1)


def test_an_untrained_generator_hears_its_mel():
    generator = EVAGANGenerator.from_preset("eva_gan_mini_16k").eval()
    one, other = (generator(log_mels(generator)) for _ in range(2))
    assert (one - other).std() > 0.5 * one.std()


def test_a_condition_changes_the_voice_and_needs_channels():
    generator = small_generator(global_channels=4).eval()
    mel = torch.randn(1, 10, 6)
    one, other = generator(mel, torch.ones(1, 4, 1)), generator(mel, -torch.ones(1, 4, 1))
    assert not torch.allclose(one, other)
    with pytest.raises(UsageError, match="global_channels"):
        small_generator()(mel, torch.ones(1, 4, 1))


def test_wrong_bands_are_reported():
    with pytest.raises(UsageError, match=r"\(batch, 10, frames\), not \(1, 11, 6\)"):
        small_generator()(torch.randn(1, 11, 6))


@pytest.mark.parametrize(
    "overrides", [{}, {"context": "none"}, {"upsample_rates": [2, 4], "upsample_kernels": [3, 12]}]
)
def test_receptive_field_is_what_gradients_see(overrides):
    generator = small_generator(**overrides).double().eval().remove_weight_norm()
    with torch.no_grad():
        for parameter in generator.parameters():  # all positive: no path can cancel another
            parameter.uniform_(0.5, 1.5).div_(parameter[0].numel() if parameter.dim() > 1 else 1e3)
    mel = torch.rand(1, 10, 128, dtype=torch.double, requires_grad=True)
    wav = generator(mel).atanh()[0, 0]
    widths = []
    for phase in range(8):
        (gradient,) = torch.autograd.grad(wav[64 * 8 + phase], mel, retain_graph=True)
        touched = gradient.abs().sum((0, 1)).nonzero()
        widths.append(int(touched.max() - touched.min() + 1))
    assert max(widths) == receptive_field(generator.config)


def test_stochastic_depth_skips_items_in_training_alone():
    torch.manual_seed(0)
    block = ConvNeXtBlock(4, 7, layer_scale=1.0, drop_path=0.5)
    x = torch.randn(64, 4, 5)
    skipped = (block.train()(x) == x).all(dim=(1, 2)).float().mean()
    assert 0.25 < skipped < 0.75
    assert not (block.eval()(x) == x).all(dim=(1, 2)).any()
    average = torch.stack([block.train()(x) for _ in range(400)]).mean(0)
    assert torch.allclose(average, block.eval()(x), atol=0.25)


def test_inspection_counts_operations_as_by_hand():
    config = build_config(
        {
            "mel": {"hop_length": 4, "n_fft": 64, "win_length": 64, "n_mels": 10, "sample_rate": 8000},
            "generator": {
                "context": "none",
                "channels": 8,
                "upsample_rates": [4],
                "pre_kernel": 3,
                "post_kernel": 3,
                "resblock_kernels": [3],
                "resblock_dilations": [1],
            },
            "training": {"segment_frames": 512},
        }
    )
    per_frame = 10 * 8 * 3 + 8 * 4 * 8  # pre; transposed convolution
    per_sample = 2 * 4 * 4 * 3 + 4 * 1 * 3  # two convolutions of the residual block; post
    expected = 2 * (per_frame * 8000 / 4 + per_sample * 8000) / 1e9
    assert inspect_generator(config).gflops_per_second == pytest.approx(expected, rel=1e-6)
