"""Streams are exact: chunks of any length, joined, are the whole utterance, and nothing is computed twice."""

import pytest
import torch
from generators import KINDS, kind_overrides, preset_generator, small_generator
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from evagan_plugin.config import list_presets
from evagan_plugin.evaluation.cost import lookahead_frames
from evagan_plugin.model.generator import EVAGANGenerator


def streamed(generator: EVAGANGenerator, mel: torch.Tensor, lengths: list[int], **options) -> list[torch.Tensor]:
    """Return the chunks that a stream gives of chunks of these lengths, the last of which may be shorter."""
    state, wavs, start = None, [], 0
    for length in lengths:
        chunk, start = mel[..., start : start + length], start + length
        last = start >= mel.shape[-1]
        state, wav = generator.step(state, chunk, last, **options)
        wavs.append(wav)
        if last:
            return wavs
    raise AssertionError(f"{sum(lengths)} frames are too few")


@pytest.mark.parametrize("preset", list_presets())
def test_chunks_of_a_preset_joined_are_the_whole(preset):
    generator = preset_generator(preset)
    ahead = lookahead_frames(generator.config)
    frames = ahead + 9
    mel = torch.randn(1, generator.n_mels, frames, dtype=torch.double) * 2.5 - 5.0
    with torch.inference_mode():
        whole = generator(mel)
        for length in (1, 7, 32):
            wavs = streamed(generator, mel, [length] * -(-frames // length))
            assert torch.allclose(torch.cat(wavs, -1), whole, atol=1e-9, rtol=0), length
            given = sum(wav.shape[-1] for wav in wavs[:-1])
            assert given == max(length * (len(wavs) - 1) * generator.upsample_factor - generator.delay, 0)
    assert -(-generator.delay // generator.upsample_factor) == ahead
    assert whole.std() > 1e-3


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_streams(kind, causal):
    generator = small_generator(**kind_overrides(kind, causal))
    options = {"condition": torch.randn(2, 3, 1).double()} if kind == "a condition" else {}
    draw = torch.Generator().manual_seed(0)
    for frames in (1, 2, 3, 29, 60):
        mel = torch.randn(2, 10, frames, dtype=torch.double)
        whole = generator(mel, **options)
        drawn = torch.randint(0, 6, (200,), generator=draw).tolist()  # also chunks without a frame
        for lengths in ([1] * frames, drawn, [0, frames - 1, 0, 1], [frames]):
            wav = torch.cat(streamed(generator, mel, lengths, **options), -1)
            assert torch.allclose(wav, whole, atol=1e-10, rtol=0)


@pytest.mark.parametrize("preset", ["eva_gan_tiny_16k", "eva_gan_tiny_16k_causal", "eva_gan_mini_16k"])
def test_single_precision_is_exact_to_a_hundred_thousandth(preset):
    generator = EVAGANGenerator.from_preset(preset).eval()  # weight norm not removed
    mel = torch.randn(1, 80, 60) * 2.5 - 5.0
    with torch.inference_mode():
        wav = torch.cat(streamed(generator, mel, [7] * 9), -1)
        assert (wav - generator(mel)).abs().max() < 1e-5


@pytest.mark.parametrize("preset", ["eva_gan_tiny_16k", "eva_gan_tiny_16k_causal", "eva_gan_base_24k"])
def test_nothing_is_computed_twice(preset):
    generator = preset_generator(preset).float()
    mel = torch.randn(1, generator.n_mels, 96)
    work = []
    for lengths in ([32] * 3, [5] * 20):
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            streamed(generator, mel, lengths)
        work.append(counter.get_total_flops())
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        generator(mel)
    assert work == pytest.approx([counter.get_total_flops()] * 2, rel=1e-3)


def test_a_step_changes_no_state():
    generator = small_generator()
    mel = torch.randn(1, 10, 40, dtype=torch.double)
    state, _ = generator.step(None, mel[..., :20])
    kept = [tensor.clone() for tensor in state]
    (_, one), (_, other) = (generator.step(state, mel[..., 20:], last) for last in (False, True))
    assert torch.equal(one, other[..., : one.shape[-1]]) and other.shape[-1] > one.shape[-1] > 0
    assert all(map(torch.equal, state, kept))


class Step(nn.Module):
    def __init__(self, generator: EVAGANGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, state: tuple[torch.Tensor, ...], mel: torch.Tensor) -> tuple:
        return self.generator.step(state, mel)


@pytest.mark.parametrize("kind", ["odd kernels", "istft after a stage"])
def test_a_step_keeps_its_shapes_and_exports(kind):
    generator = small_generator(**KINDS[kind])
    chunks = torch.randn(12, 1, 10, 8, dtype=torch.double)
    state = None
    for chunk in chunks[:9]:
        state, _ = generator.step(state, chunk)
    program = torch.export.export(Step(generator), (state, chunks[9])).module()
    exported = state
    for chunk in chunks[9:]:
        exported, wav = program(exported, chunk)
        state, wanted = generator.step(state, chunk)
        assert torch.allclose(wav, wanted, atol=1e-12)
        assert [tensor.shape for tensor in exported] == [tensor.shape for tensor in state]
    assert wanted.shape == (1, 1, 64)


def test_utterances_of_a_batch_do_not_know_each_other():
    generator = small_generator(upsample_rates=[], head={"istft": {"n_fft": 32, "hop_length": 8, "center": True}})
    mel = torch.randn(3, 10, 20, dtype=torch.double)
    together = torch.cat(streamed(generator, mel, [3] * 7), -1)
    for row in range(3):
        alone = torch.cat(streamed(generator, mel[row : row + 1], [5] * 4), -1)
        assert torch.allclose(together[row], alone[0], atol=1e-12)
