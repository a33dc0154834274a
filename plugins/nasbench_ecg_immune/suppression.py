"""Suppression of antibodies that are nearly the same: Algorithm 1, step 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def suppress(
    affinities: Sequence[float], distances: NDArray[np.float64], threshold: float
) -> list[int]:
    """Return the positions of the antibodies that stay, best first.

    One goes if it is the same as, or closer than ``threshold`` to, a better one that stays; of two
    with one affinity the first is the better.

    Args:
        affinities: n affinities, larger better.
        distances: float64 [n, n].
        threshold: σ; with zero, only the same antibodies go.
    """
    order = np.argsort(-np.asarray(affinities, np.float64), kind="stable")
    near = (distances < threshold) | (distances <= 0)
    stays: list[int] = []
    gone = np.zeros(len(order), dtype=bool)
    for i in order:
        if not gone[i]:
            stays.append(int(i))
            gone |= near[i]
    return stays
