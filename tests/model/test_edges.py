"""Batches of utterances of several lengths: each sounds as it does alone, whatever stands in its padding."""

import pytest
import torch
from generators import KINDS, kind_overrides, preset_generator, small_generator

from evagan_plugin.config import list_presets
from evagan_plugin.errors import UsageError
from evagan_plugin.model.generator import EVAGANGenerator

FRAMES = [11, 24, 1, 24, 2]


@torch.inference_mode()
def check(generator: EVAGANGenerator, condition: torch.Tensor | None = None) -> None:
    """Compare each item of a batch with the same utterance alone; without its length it would differ."""
    mel = torch.randn(len(FRAMES), generator.n_mels, max(FRAMES), dtype=torch.double) * 2.5 - 5.0
    before = mel.clone()
    batch, unknown = generator(mel, condition, FRAMES), generator(mel, condition)
    assert torch.equal(mel, before)
    differing = []
    for item, frames in enumerate(FRAMES):
        own = None if condition is None else condition[item : item + 1]
        alone = generator(mel[item : item + 1, :, :frames], own)[0, 0]
        assert torch.allclose(batch[item, 0, : len(alone)], alone, atol=1e-10, rtol=0)
        differing.append((unknown[item, 0, : len(alone)] - alone).abs().max() > 1e-6)
    assert any(differing) == bool(generator.delay)


@pytest.mark.parametrize("preset", list_presets())
def test_padding_changes_nothing_in_a_preset(preset):
    check(preset_generator(preset))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing_in_every_kind_of_layer(kind, causal):
    condition = torch.randn(len(FRAMES), 3, 1, dtype=torch.double) if kind == "a condition" else None
    check(small_generator(**kind_overrides(kind, causal)), condition)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("context", [True, False])
def test_padding_changes_nothing_with_and_without_normalisation(normalize, context):
    check(small_generator(normalize=normalize, **({} if context else {"context": "none"})))


@pytest.mark.parametrize("frames", [[3, 4], [5], [4, 5, 5], [0, 5]])
def test_lengths_that_do_not_fit_the_batch_are_refused(frames):
    with pytest.raises(UsageError, match="are not those of a batch of shape"):
        small_generator()(torch.zeros(2, 10, 5, dtype=torch.double), frames=frames)
