"""Which stretch of which utterance a batch holds."""

import numpy as np
import pytest

from evagan_plugin.config import build_config
from evagan_plugin.data.segments import SegmentCrop
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.espnet.task.data import SegmentSampler

HOP, FRAMES = 256, 32
NAMES = [f"utt{index}" for index in range(11)]


@pytest.fixture(scope="module")
def crop() -> SegmentCrop:
    return SegmentCrop.for_training(
        build_config({"preset": "eva_gan_mini_16k", "training": {"segment_frames": FRAMES}})
    )


def ramp(frames: float, offset: int = 0) -> dict[str, np.ndarray]:
    """Audio and features that both tell which frame they are of."""
    samples, total = int(frames * HOP), int(frames) + offset
    return {
        "wav": np.arange(samples, dtype=np.float32) // HOP / 1e4,
        "feats": np.repeat(np.arange(total, dtype=np.float32)[:, None], 80, axis=1),
    }


def test_processes_share_the_batches_of_one():
    whole = SegmentSampler(NAMES, 4, train=True).generate(7)
    shards = [SegmentSampler(NAMES, 4, True, rank, 2).generate(7) for rank in range(2)]
    assert [sorted(left + right) for left, right in zip(*shards, strict=True)] == [sorted(batch) for batch in whole]


def test_training_batches_are_full_and_change_with_the_epoch():
    sampler = SegmentSampler(NAMES, 4, train=True)
    first, again, second = sampler.generate(1), sampler.generate(1), sampler.generate(2)
    assert first == again != second
    assert [len(batch) for batch in first] == [4, 4] and len(sampler) == 2
    assert len({name for batch in first for name, _ in batch}) == 8


def test_few_utterances_fill_a_batch_by_other_cuts():
    (batch,) = SegmentSampler(NAMES[:3], 8, train=True).generate(1)
    assert len(batch) == 8 and {name for name, _ in batch} == set(NAMES[:3])
    assert len(set(batch)) == 8


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_validation_takes_every_utterance_once_and_the_same_each_epoch(processes: int):
    shards = [SegmentSampler(NAMES, 5, False, rank, processes) for rank in range(processes)]
    taken = [name for shard in shards for batch in shard.generate(1) for name, _ in batch]
    assert sorted(taken) == sorted(NAMES)
    assert all(batch for shard in shards for batch in shard.generate(1))
    assert [shard.generate(1) for shard in shards] == [shard.generate(2) for shard in shards]


def test_a_process_without_work_is_an_error():
    with pytest.raises(UsageError, match="batch_size 2 is less than the 3 processes"):
        SegmentSampler(NAMES, 2, True, 0, 3)
    with pytest.raises(UsageError, match="1 validation utterance"):
        SegmentSampler(NAMES[:1], 4, False, 0, 2)


@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize("draw", [0, 3, 2**32 - 1])
def test_audio_and_features_are_cut_at_the_same_place(crop: SegmentCrop, draw: int, offset: int):
    cut = crop("u", ramp(100.5, offset), draw)
    assert cut["wav"].shape == (FRAMES * HOP,) and cut["feats"].shape == (FRAMES, 80)
    np.testing.assert_allclose(cut["wav"][::HOP] * 1e4, cut["feats"][:, 0], atol=1e-2)


def test_every_place_can_be_drawn(crop: SegmentCrop):
    starts = {int(crop("u", ramp(FRAMES + 3), draw)["feats"][0, 0]) for draw in range(20)}
    assert starts == {0, 1, 2, 3}


def test_short_utterances_are_padded_with_silence(crop: SegmentCrop):
    cut = crop("u", ramp(10.5, offset=1), 5)
    wav, feats = cut["wav"], cut["feats"]
    assert wav.shape == (FRAMES * HOP,) and wav[int(10.5 * HOP) :].max() == 0 and wav[10 * HOP] > 0
    assert feats.shape == (FRAMES, 80) and (feats[11:] == crop.silence).all() and (feats[:11, 0] == np.arange(11)).all()


def test_integers_of_kaldi_archives_are_scaled(crop: SegmentCrop):
    cut = crop("u", {"wav": np.full(HOP * FRAMES, -(2**15), dtype=np.int64)}, 0)
    assert cut["wav"].dtype == np.float32 and (cut["wav"] == -1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wav": np.zeros((25600, 2))}, "one channel"),
        ({"wav": np.zeros(0)}, "no samples"),
        ({"wav": np.full(25600, np.nan, np.float32)}, "wav has values that are NaN"),
        ({"feats": np.full((100, 80), np.inf, np.float32)}, "feats has values that are NaN"),
        ({"feats": np.zeros((80, 100), np.float32)}, "swapped"),
        ({"feats": np.zeros((100, 64), np.float32)}, "other features"),
        ({"feats": np.zeros((103, 80), np.float32)}, "103 frames of 256 samples beside 25600 samples"),
        ({"feats": np.zeros((97, 80), np.float32)}, "97 frames"),
    ],
)
def test_data_that_does_not_fit_is_named(crop: SegmentCrop, change: dict, message: str):
    with pytest.raises(EvaganError, match=f"utterance 'u'.*{message}"):
        crop("u", ramp(100) | change, 0)
