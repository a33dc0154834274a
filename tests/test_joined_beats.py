"""Training and validation part are joined without a copy, since they lie in one memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tiny_beats import tiny_beats

from nasbench_ecg.data.beats import join

BEATS = tiny_beats(60, seed=0)


def parts(*limits):
    return [BEATS.part(a, b).read_only() for a, b in itertools.pairwise(limits)]


@pytest.mark.parametrize("limits", [(0, 40, 60), (5, 20, 20, 31, 60), (0, 0, 60), (7, 9)])
def test_consecutive_parts_are_joined_in_the_same_memory(limits):
    joined = join(parts(*limits))
    expected = BEATS.take(np.arange(limits[0], limits[-1]))
    assert joined.fingerprint() == expected.fingerprint()
    assert np.shares_memory(joined.signals, BEATS.signals)
    assert not joined.signals.flags.writeable


@pytest.mark.parametrize(
    "chosen",
    [
        [BEATS.part(30, 60), BEATS.part(0, 30)],
        [BEATS.part(0, 20), BEATS.part(21, 60)],
        [BEATS.part(0, 20), BEATS.part(0, 20)],
        [BEATS.part(0, 20), BEATS.take(np.arange(20, 60))],
        [BEATS.take(np.arange(20)), BEATS.take(np.arange(20, 60))],
    ],
)
def test_other_beats_are_copied_in_order(chosen):
    joined = join(chosen)
    assert not np.shares_memory(joined.signals, BEATS.signals)
    for name in ("signals", "labels", "record", "sample"):
        expected = np.concatenate([getattr(part, name) for part in chosen])
        np.testing.assert_array_equal(getattr(joined, name), expected)
