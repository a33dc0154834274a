"""The step that fixes the function and finds the best bias: a scan over the midpoints (eq. 8).

With the decision values f sorted, the midpoint of two neighbours as −b and y = sign(f + b), the
cost of every candidate follows from prefix sums: O(n log n) a row.

References:
    Zhu et al. 2013, section 2.3.2, "Fitness Computation", equation (8).

    Zhang, Tsang, Kwok 2009, "Maximum margin clustering made practical", IEEE Trans. Neural
    Networks 20(4), section III-C, for the same scan with the absolute loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Int8s = NDArray[np.int8]

_CANDIDATES = 8192
"""Thresholds of a row that are tried at once."""


def best_thresholds(values: NDArray[Any], smallest: int) -> NDArray[Any]:
    """Return −b, [P], of the least Σ(y_i − f_i − b)² for each row f of ``values`` [P, n].

    Only thresholds between two different values that leave ``smallest`` (≥ 1) points or more on
    either side are candidates. With more than 8,192 of them, every q-th is tried first, and then
    all around the best of those. NaN where a row has none.
    """
    rows, n = values.shape
    f = np.sort(values, axis=1)
    below = np.cumsum(f, axis=1, dtype=np.float64)
    first, last = smallest, n - smallest
    stride = 1 + (last - first) // _CANDIDATES
    t = np.broadcast_to(
        np.arange(first, last + 1, stride), (rows, -(-(last + 1 - first) // stride))
    )
    t, b, cost = _best(f, below, t)
    if stride > 1:
        around = t[:, None] + np.arange(-stride, stride + 1)
        t, b, cost = _best(f, below, np.clip(around, first, last))
    return np.where(np.isfinite(cost), -b, np.nan)


def _best(
    f: NDArray[Any], below: NDArray[np.float64], t: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each row, the best of the numbers ``t`` [P, T] of points below the threshold.

    With it b, and the cost up to what no candidate changes; infinite where none is allowed.
    """
    n, total = f.shape[1], below[:, -1:]
    low, high = np.take_along_axis(f, t - 1, axis=1), np.take_along_axis(f, t, axis=1)
    b = -(low.astype(np.float64) + high) / 2
    sums = np.take_along_axis(below, t - 1, axis=1)
    cost = n * b * b - 2 * (total - 2 * sums) - 2 * b * (n - 2 * t) + 2 * b * total
    cost[low >= high] = np.inf
    best = cost.argmin(axis=1)[:, None]
    chosen_t, chosen_b, chosen_cost = (
        np.take_along_axis(x, best, axis=1)[:, 0] for x in (t, b, cost)
    )
    return chosen_t, chosen_b, chosen_cost


def relabel(labels: Int8s, values: NDArray[Any], smallest: int) -> Int8s:
    """Return sign(f + b) with the best b, int8 [P, n]; a row without a candidate stays as it is."""
    thresholds = best_thresholds(values, smallest)[:, None]
    found = np.where(values > thresholds, 1, -1).astype(np.int8)
    return np.where(np.isnan(thresholds), labels, found)


def best_threshold_of_absolute_loss(values: NDArray[np.float64], smallest: int) -> float:
    """Return −b of the least Σ|y_i − f_i − b| for decision values f, float64 [n].

    Candidates as in :func:`best_thresholds`; NaN if there is none.
    """
    n = len(values)
    f = np.sort(values)
    t = np.arange(smallest, n - smallest + 1)
    t = t[f[t - 1] < f[t]]
    if not len(t):
        return float("nan")
    b = -(f[t - 1] + f[t]) / 2
    below = np.concatenate([[0.0], np.cumsum(f)])

    def shifted(start: NDArray[np.int64], end: NDArray[np.int64], goal: int) -> Any:
        """Σ (f + b − goal) over the sorted positions from ``start`` to ``end``."""
        return below[end] - below[start] + (end - start) * (b - goal)

    upper = np.searchsorted(f, 1 - b)
    lower = np.searchsorted(f, -1 - b)
    zero, all_of = np.zeros_like(t), np.full_like(t, n)
    cost = shifted(upper, all_of, 1) - shifted(t, upper, 1)
    cost += shifted(lower, t, -1) - shifted(zero, lower, -1)
    return float(-b[cost.argmin()])
