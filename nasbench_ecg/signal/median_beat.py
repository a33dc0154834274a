"""The median beat of a record, and how a beat differs from it.

Whether a QRS complex is wide or a P wave is missing depends on the person. The median beat is a
template of what is usual in the record; the difference shows what is not, and needs no labels.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Differences = Literal["median-beat"]
"""``median-beat``: from the median over the beats of the whole record, so for stored records only.
"""

MOST_BEATS = 4096
"""A record with more beats has the median of so many, which are evenly spaced among them."""


def beats_of_median(n_beats: int) -> NDArray[np.int64]:
    """Return the positions of the beats that the median beat of a record is of, ascending.

    Args:
        n_beats: Number of beats of the record, with and without a class.
    """
    n = min(n_beats, MOST_BEATS)
    return np.arange(n, dtype=np.int64) * n_beats // max(n, 1)


def median_beat(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median beat: at each sample of each lead, the median over the beats.

    Args:
        windows: float32 [n_beats, n_leads, n_samples], normalized.

    Returns:
        float32 [n_leads, n_samples]; zero if there is no beat.
    """
    if not len(windows):
        return np.zeros(windows.shape[1:], dtype=np.float32)
    middle: NDArray[np.float32] = np.median(windows, axis=0)
    return middle


def with_differences(
    windows: NDArray[np.float32], median: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return windows with their differences from the median beat as further leads.

    Args:
        windows: float32 [n_beats, n_leads, n_samples].
        median: float32 [n_leads, n_samples].

    Returns:
        float32 [n_beats, 2 n_leads, n_samples].
    """
    return np.concatenate([windows, windows - median], axis=1)
