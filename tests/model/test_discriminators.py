"""Discriminators: one contract, the published shapes, robustness at the ends."""

import pytest
import torch

from evagan_plugin.config import DiscriminatorsConfig, PeriodConfig, ResolutionConfig
from evagan_plugin.model.discriminators import (
    MultiPeriodDiscriminator,
    MultiResolutionDiscriminator,
    build_discriminators,
)

SMALL = {
    "mpd": lambda: MultiPeriodDiscriminator(PeriodConfig(periods=(2, 3), channels=4, max_channels=16)),
    "mrd": lambda: MultiResolutionDiscriminator(
        ResolutionConfig(resolutions=((256, 64, 256), (128, 32, 100)), channels=4)
    ),
}


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("samples", [2048, 2047])
def test_every_member_gives_logits_and_feature_maps(kind, samples):
    group = SMALL[kind]()
    outputs = group(torch.randn(2, 1, samples))
    assert len(outputs) == 2
    for output in outputs:
        assert output.logits.dim() == 2 and output.logits.shape[0] == 2
        assert len(output.feature_maps) == 6
        assert torch.equal(output.feature_maps[-1].flatten(1), output.logits)


@pytest.mark.parametrize("kind", SMALL)
def test_a_pair_in_one_pass_is_scored_as_each_alone(kind):
    group = SMALL[kind]().double()
    real, fake = torch.randn(2, 3, 1, 1024, dtype=torch.double)
    for together, alone in zip(group.forward_pair(real, fake), (group(real), group(fake)), strict=True):
        for left, right in zip(together, alone, strict=True):
            assert torch.allclose(left.logits, right.logits)
            assert all(map(torch.allclose, left.feature_maps, right.feature_maps))


@pytest.mark.parametrize("kind", SMALL)
def test_silence_has_finite_gradients(kind):
    wav = torch.zeros(1, 1, 2048, requires_grad=True)
    sum(output.logits.square().sum() for output in SMALL[kind]()(wav)).backward()
    assert torch.isfinite(wav.grad).all()


def test_default_sizes_are_the_published_ones():
    count = {
        name: sum(p.numel() for p in group.parameters())
        for name, group in (("mpd", MultiPeriodDiscriminator()), ("mrd", MultiResolutionDiscriminator()))
    }
    # HiFi-GAN's MPD: 41.1 M parameters; UnivNet's MRD: 0.28 M.
    assert count["mpd"] == pytest.approx(41.1e6, rel=0.01)
    assert count["mrd"] == pytest.approx(0.28e6, rel=0.05)


def test_a_discriminator_can_be_left_out():
    assert list(build_discriminators(DiscriminatorsConfig(mrd=None, mpd=PeriodConfig(channels=4)))) == ["mpd"]


@pytest.mark.parametrize("kind", SMALL)
def test_the_memory_format_changes_no_score(kind):
    group, wav = SMALL[kind](), torch.randn(2, 1, 4096)
    results = []
    for channels_last in (False, True):
        for member in group.members:
            member.channels_last = channels_last
        results.append(group(wav))
        strides = {x.is_contiguous(memory_format=torch.channels_last) for x in results[-1][0].feature_maps[:-1]}
        assert strides == {channels_last}
    for plain, last in zip(*results, strict=True):
        torch.testing.assert_close(plain.logits, last.logits, rtol=1e-4, atol=1e-5)
