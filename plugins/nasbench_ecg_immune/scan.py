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
    n = values.shape[1]
    f = np.sort(values, axis=1)
    below = np.cumsum(f, axis=1, dtype=np.float64)
    first, last = smallest, n - smallest
    stride = 1 + (last - first) // _CANDIDATES
    t = np.arange(first, last + 1, stride)
    b, cost = _costs(f[:, t[0] - 1 : t[-1] : stride], f[:, t[0] : t[-1] + 1 : stride],
                     below[:, t[0] - 1 : t[-1] : stride], below[:, -1:], t, n)  # fmt: skip
    best = cost.argmin(axis=1)[:, None]
    if stride > 1:
        around = np.clip(t[best] + np.arange(-stride, stride + 1), first, last)
        low, sums = (np.take_along_axis(x, around - 1, axis=1) for x in (f, below))
        high = np.take_along_axis(f, around, axis=1)
        b, cost = _costs(low, high, sums, below[:, -1:], around, n)
        best = cost.argmin(axis=1)[:, None]
    b, cost = (np.take_along_axis(x, best, axis=1)[:, 0] for x in (b, cost))
    return np.where(np.isfinite(cost), -b, np.nan)


def _costs(
    low: NDArray[Any], high: NDArray[Any], sums: NDArray[np.float64],
    total: NDArray[np.float64], t: NDArray[np.int64], n: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Return b and the cost, up to what no candidate changes, of ``t`` points below −b: [P, T].

    Between ``low`` and ``high`` lies the threshold, ``sums`` is Σf of the points below it and
    ``total`` that of all n. The cost is infinite where no threshold is possible.
    """
    b = np.add(low, high, dtype=np.float64)
    b *= -0.5
    # n·b² − 2(total − 2·sums) − 2b(n − 2t) + 2b·total
    cost = n * b
    cost += 2 * total - 2 * n + 4 * t
    cost *= b
    cost += 4 * sums
    cost -= 2 * total
    cost[low >= high] = np.inf
    return b, cost


def relabel(labels: Int8s, values: NDArray[Any], smallest: int) -> Int8s:
    """Return sign(f + b) with the best b, int8 [P, n]; a row without a candidate stays as it is."""
    thresholds = best_thresholds(values, smallest)[:, None]
    found = 2 * (values > thresholds).view(np.int8) - np.int8(1)
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
