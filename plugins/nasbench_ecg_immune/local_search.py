"""Local search that improves labels: the paper's midpoint scan, and single flips.

References:
    Zhu et al. 2013, section 2.3.2, "Fitness Computation", equation (8): the midpoint scan.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg_immune.objective import Floats, Int8s, Margin

_CANDIDATES = 8192
"""Most thresholds of a row that are tried at once."""


def best_thresholds(values: NDArray[Any], min_size: int) -> NDArray[Any]:
    """Return the threshold −b with the least Σ(y_i − f_i − b)² for each row f of ``values`` [P, n].

    The candidates are the midpoints of two different neighboring values that leave at least
    ``min_size`` (≥ 1) points on either side. With more than 8,192 candidates, every q-th is tried
    first, then all around the best of those.

    Returns:
        float64 [P]; NaN where a row has no candidate.
    """
    n = values.shape[1]
    f = np.sort(values, axis=1)
    below = np.cumsum(f, axis=1, dtype=np.float64)
    first, last = min_size, n - min_size
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
    low: NDArray[Any], high: NDArray[Any], sums: Floats,
    total: Floats, t: NDArray[np.int64], n: int,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return b and the cost, up to a constant, with ``t`` points below the threshold −b: [P, T].

    The threshold is the midpoint of ``low`` and ``high``; ``sums`` is Σf of the points below it,
    ``total`` that of all n points. The cost is infinite where ``low`` and ``high`` are equal.
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


def midpoint_scan(labels: Int8s, values: NDArray[Any], min_size: int) -> Int8s:
    """Return sign(f + b) with the best b, int8 [P, n]; rows without a candidate are unchanged."""
    thresholds = best_thresholds(values, min_size)[:, None]
    found = 2 * (values > thresholds).view(np.int8) - np.int8(1)
    return np.where(np.isnan(thresholds), labels, found)


def best_threshold_of_absolute_loss(values: Floats, min_size: int) -> float:
    """Return the threshold −b with the least Σ|y_i − f_i − b| for decision values f, float64 [n].

    The candidates are those of :func:`best_thresholds`; NaN if there are none.
    """
    n = len(values)
    f = np.sort(values)
    t = np.arange(min_size, n - min_size + 1)
    t = t[f[t - 1] < f[t]]
    if not len(t):
        return float("nan")
    b = -(f[t - 1] + f[t]) / 2
    below = np.concatenate([[0.0], np.cumsum(f)])

    def shifted(start: NDArray[np.int64], end: NDArray[np.int64], goal: int) -> Any:
        """Return Σ (f + b − goal) over the sorted positions from ``start`` to ``end``."""
        return below[end] - below[start] + (end - start) * (b - goal)

    upper = np.searchsorted(f, 1 - b)
    lower = np.searchsorted(f, -1 - b)
    zero, all_of = np.zeros_like(t), np.full_like(t, n)
    cost = shifted(upper, all_of, 1) - shifted(t, upper, 1)
    cost += shifted(lower, t, -1) - shifted(zero, lower, -1)
    return float(-b[cost.argmin()])


def single_flip_descent(
    margin: Margin, labels: NDArray[Any], min_size: int, max_flips: int | None = None
) -> tuple[Int8s, NDArray[Any]]:
    """Return labels, int8 [P, n], after the best single flips, and their fitted values.

    Each step flips, in every row, the label whose flip lowers the objective most. A flip i changes
    J by −4 y_i g_i + 4 A_ii = 4(A_ii − 1 + y_i S_i y), with S = I − A the smoother. A step costs
    O(n) a row if S is stored, otherwise O(n·r).

    Args:
        margin: The objective.
        labels: ±1 [P, n], with at least ``min_size`` points on either side.
        min_size: Fewest points with either label, which every step keeps.
        max_flips: Most flips of a row; None continues until no flip lowers the objective.
    """
    # A smaller gain than rounding errors could make a row flip back and forth for ever.
    least_gain = 25 * np.finfo(margin.basis.dtype).eps * margin.n
    y = labels.astype(margin.basis.dtype)
    fitted = margin.fitted(y)
    offset = margin.curvature - 1
    positive = np.count_nonzero(y > 0, axis=1)
    # No fitted value exceeds √n, so adding this excludes a label from the choice.
    excluded = 4 * np.sqrt(margin.n)
    active, final_y, final_fitted = np.arange(len(y)), np.empty_like(y), np.empty_like(fitted)
    steps = 0
    while len(active) and (max_flips is None or steps < max_flips):
        # The sign that no more points of a row may lose; 0 where both may.
        fixed = np.where(positive <= min_size, 1, np.where(positive >= margin.n - min_size, -1, 0))
        quarter_change = fitted * y
        if fixed.any():
            quarter_change += (excluded * fixed).astype(y.dtype)[:, None] * y
        quarter_change += offset
        rows, flips = np.arange(len(active)), quarter_change.argmin(axis=1)
        signs = y[rows, flips]
        improves = signs * fitted[rows, flips] + offset[flips] < -least_gain
        improves &= signs != fixed
        if not improves.all():
            final_y[active[~improves]], final_fitted[active[~improves]] = (
                y[~improves],
                fitted[~improves],
            )
            active, y, fitted, positive = (
                active[improves],
                y[improves],
                fitted[improves],
                positive[improves],
            )
            rows, flips, signs = rows[: len(active)], flips[improves], signs[improves]
        change = margin.columns(flips)
        change *= 2 * signs[:, None]
        fitted -= change
        y[rows, flips] = -signs
        positive -= signs.astype(positive.dtype)
        steps += 1
    final_y[active], final_fitted[active] = y, fitted
    return final_y.astype(np.int8), final_fitted
