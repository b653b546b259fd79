"""Which utterances go together."""

import pytest

from evagan_plugin.errors import UsageError
from evagan_plugin.inference.padding import USUAL_FRAMES, batches

FRAMES = [5, 9, 5, 7, 9, 1]


def test_utterances_of_like_length_go_together_and_none_is_lost():
    assert list(batches(FRAMES, 2)) == [[1, 4], [3, 0], [2, 5]]
    assert list(batches(FRAMES, 100)) == [[1, 4, 3, 0, 2, 5]]
    assert list(batches(FRAMES, 1)) == [[1], [4], [3], [0], [2], [5]]
    assert list(batches([], 4)) == []


def test_what_cannot_be_padded_goes_with_its_equals():
    assert list(batches(FRAMES, 3, padded=False)) == [[1, 4], [3], [0, 2], [5]]


def test_of_long_ones_fewer_go_together():
    frames = [4 * USUAL_FRAMES, 2 * USUAL_FRAMES, USUAL_FRAMES, USUAL_FRAMES, 1]
    assert list(batches(frames, 3)) == [[0], [1], [2, 3, 4]]


def test_a_batch_of_none_is_refused():
    with pytest.raises(UsageError, match="batch size 0: 1 at least"):
        list(batches(FRAMES, 0))
