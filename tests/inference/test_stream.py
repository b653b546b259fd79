"""Streams for users: joined, what they give is the whole synthesis; chunks, latency, faults."""

import pytest
import torch
from torch import nn

from evagan_plugin.config import build_config, load_preset
from evagan_plugin.errors import UsageError
from evagan_plugin.inference.eva_gan import EVAGANVocoder
from evagan_plugin.inference.vocoder import Vocoder
from evagan_plugin.model.generator import EVAGANGenerator

ISTFT = {"upsample_rates": [], "channels": 12, "head": {"istft": {"n_fft": 64, "hop_length": 16, "center": True}}}
CAUSAL = {**ISTFT, "head": {"istft": {"n_fft": 32, "hop_length": 16}}, "causal": True}
WAVEFORM = {"upsample_rates": [4, 4], "channels": 16}
KINDS = {"istft": ISTFT, "causal": CAUSAL, "waveform": WAVEFORM}
HOP, BANDS, RATE = 16, 10, 8000


def small_vocoder(generator: dict, **mel) -> EVAGANVocoder:
    torch.manual_seed(0)
    context = {"dims": [12], "depths": [2], "layer_scale": 0.5}
    mel = {
        "hop_length": HOP,
        "n_fft": 64,
        "win_length": 64,
        "n_mels": BANDS,
        "sample_rate": RATE,
        "center": True,
        **mel,
    }
    settings = {"mel": mel, "generator": {"context": context, **generator}, "discriminators": {"mrd": "none"}}
    config = build_config(settings)
    return EVAGANVocoder(config, EVAGANGenerator.from_config(config))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("frames", "initial"), [(1, None), (3, 1), (5, 20), (8, None), (500, None)])
def test_chunks_joined_are_the_whole_synthesis(kind, frames, initial):
    vocoder = small_vocoder(KINDS[kind])
    mel = torch.randn(BANDS, 61) * 2.5 - 5.0
    whole = vocoder.synthesize(mel)
    for length in (1, 4, 61):
        stream = vocoder.stream(frames, initial)
        chunks = [wav for piece in mel.split(length, dim=-1) for wav in stream.feed(piece)]
        rest = stream.flush()
        assert torch.allclose(torch.cat([*chunks, rest]), whole, atol=1e-5)
        first = (initial or frames) * HOP
        if frames < 61:
            assert first <= len(chunks[0]) < first + HOP
            assert {len(chunk) for chunk in chunks[1:]} == {frames * HOP}
        assert not any(chunk.is_inference() or chunk.dtype != torch.float32 for chunk in [*chunks, rest])


@pytest.mark.parametrize("preemphasis", [0.0, 0.9])
def test_a_buffer_that_is_fed_may_be_used_again(preemphasis: float):
    vocoder = small_vocoder(WAVEFORM, preemphasis=preemphasis)
    mel, wav = torch.randn(BANDS, 24) * 2.5 - 5.0, 0.1 * torch.randn(24 * HOP)
    for stream, whole, length in (
        (vocoder.stream(8), mel, 3),
        (vocoder.stream_copy(8), wav, 5),
    ):
        expected, (first, *rest) = [], whole.split(length, dim=-1)
        twin = vocoder.stream(8) if whole is mel else vocoder.stream_copy(8)
        for piece in (first, *rest):
            expected += twin.feed(piece.clone())
        buffer, got = torch.empty_like(first), []
        for piece in (first, *rest):
            buffer[..., : piece.shape[-1]] = piece
            got += stream.feed(buffer[..., : piece.shape[-1]])
        buffer.fill_(0.5)
        assert torch.equal(torch.cat([*got, stream.flush()]), torch.cat([*expected, twin.flush()]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_audio_comes_with_the_frame_that_it_waits_for(kind):
    vocoder = small_vocoder(KINDS[kind])
    stream = vocoder.stream(frames=4, initial_frames=1)
    mel = torch.randn(BANDS, 60)
    got = [sum(len(wav) for wav in stream.feed(mel[:, k : k + 1])) for k in range(60)]
    assert got.index(next(filter(None, got))) == vocoder.lookahead_frames
    assert (vocoder.lookahead_frames == 0) == (kind == "causal")


def test_what_is_not_asked_for_comes_later():
    vocoder = small_vocoder(CAUSAL)
    mel = torch.randn(2, BANDS, 30)
    stream = vocoder.stream(frames=4)
    stream.feed(mel[..., :9])
    one = next(stream.feed(mel[..., 9:20]))
    assert one.shape == (2, 4 * HOP)
    stream.feed(mel[..., 20:])
    assert torch.allclose(torch.cat([one, stream.flush()], -1), vocoder.synthesize(mel), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mel", [{}, {"center": False}, {"preemphasis": 0.9}], ids=["", "not centred", "preemphasis"])
@pytest.mark.parametrize("samples", [1, 70, 999])
def test_copies_of_audio_in_pieces_are_those_of_the_whole(kind, mel, samples):
    vocoder = small_vocoder(KINDS[kind], **mel)
    wav = 0.1 * torch.randn(samples)
    whole = vocoder.resynthesize(wav, RATE)
    for length in (1, 100, 999):
        stream = vocoder.stream_copy(frames=3)
        got, fed = [], 0
        for piece in wav.split(length):
            got += stream.feed(piece)
            fed += len(piece)
            assert sum(map(len, got)) <= fed
        got.append(stream.flush())
        assert torch.allclose(torch.cat(got), whole, atol=1e-5)


def test_latency_counts_chunk_lookahead_and_the_mel_s_window():
    vocoder = small_vocoder(CAUSAL)
    assert vocoder.latency(1) == HOP / RATE
    assert vocoder.latency(4, audio=True) == (3 * HOP + 64 // 2) / RATE
    ahead = small_vocoder({**CAUSAL, "lookahead_frames": 3})
    assert ahead.lookahead_frames == 3
    assert ahead.latency(1) == 4 * HOP / RATE
    stream, fed = ahead.stream_copy(frames=1), 1
    while not list(stream.feed(torch.zeros(1))):
        fed += 1
    assert fed / RATE == pytest.approx(ahead.latency(1, audio=True))


def test_the_causal_preset_speaks_within_114_milliseconds():
    config = load_preset("eva_gan_tiny_16k_causal")
    vocoder = EVAGANVocoder(config, EVAGANGenerator.from_config(config))
    assert vocoder.lookahead_frames == 0
    assert vocoder.latency(1, audio=True) == 0.032
    assert vocoder.latency(2, audio=True) == 0.048 < 0.114
    stream = vocoder.stream(frames=8, initial_frames=1)
    assert len(next(stream.feed(torch.randn(80, 1)))) == 256


def test_features_of_another_logarithm_are_doubted_once(caplog):
    vocoder = small_vocoder(CAUSAL)
    stream = vocoder.stream()
    for _ in range(2):
        list(stream.feed(torch.randn(BANDS, 40) * 20 - 60))
    assert caplog.text.count("is likely") == 1


def test_faults_are_one_line_and_change_nothing():
    vocoder = small_vocoder(WAVEFORM)
    mel = torch.randn(BANDS, 20)
    stream = vocoder.stream(frames=2)
    got = list(stream.feed(mel))
    broken = mel.clone()
    broken[3, 7] = torch.nan
    for wrong, said in (
        (torch.randn(BANDS + 1, 5), "bands"),
        (mel.T, "swapped"),
        (broken, "not finite"),
        (mel[:, :0], "no frames"),
        (torch.randn(2, BANDS, 5), "the stream began with mels of shape (10, frames), and now has (2, 10, frames)"),
    ):
        with pytest.raises(UsageError) as caught:
            stream.feed(wrong)
        assert said in str(caught.value) and "\n" not in str(caught.value)
    got += stream.feed(mel.numpy())
    got.append(stream.flush())
    assert torch.allclose(torch.cat(got), vocoder.synthesize(torch.cat([mel, mel], -1)), atol=1e-5)
    with pytest.raises(UsageError, match="after flush"):
        stream.feed(mel)
    with pytest.raises(UsageError, match="ended already"):
        stream.flush()
    with pytest.raises(UsageError, match="0 frames"):
        vocoder.stream(frames=0)
    copy = vocoder.stream_copy()
    for wrong, said in ((torch.randn(1, 9), "one channel"), (torch.tensor([torch.inf]), "not finite")):
        with pytest.raises(UsageError, match=said):
            copy.feed(wrong)


def test_streams_without_input_are_empty():
    vocoder = small_vocoder(ISTFT)
    assert len(vocoder.stream().flush()) == len(vocoder.stream_copy().flush()) == 0


def test_a_vocoder_of_others_says_that_it_cannot_stream():
    vocoder = Vocoder(small_vocoder(ISTFT).mel_config, nn.Conv1d(BANDS, 1, 1))
    for ask in (vocoder.stream, vocoder.stream_copy, vocoder.latency, lambda: vocoder.lookahead_frames):
        with pytest.raises(UsageError, match="only a model of ours can stream"):
            ask()
