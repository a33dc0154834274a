"""Single-flip descent: always the flip that lowers the objective most, until none does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg_immune.margin import Margin


def descend(
    margin: Margin,
    labels: NDArray[Any],
    smallest: int,
    most: int | None = None,
    fitted: NDArray[Any] | None = None,
) -> tuple[NDArray[np.int8], NDArray[Any]]:
    """Return labels, int8 [P, n], reached from ``labels`` by single flips, and their fitted values.

    A flip i changes J by −4 y_i g_i + 4 A_ii = 4(A_ii − 1 + y_i S_i y), with S = I − A the
    smoother; all rows step at once, O(n) each where S is at hand, otherwise O(n·r).

    Args:
        margin: The objective.
        labels: ±1 [P, n], with ``smallest`` points or more on either side, which every step keeps.
        smallest: Fewest points with either label.
        most: Most flips of a row; by default until no flip betters any row.
        fitted: Fitted values of ``labels`` [P, n], if they are at hand; changed in place.
    """
    # Flips that gain less than rounding may go in circles.
    least_gain = 100 * np.finfo(margin.basis.dtype).eps * margin.n
    y = labels.astype(margin.basis.dtype)
    fitted = margin.fitted(y) if fitted is None else fitted
    rows = np.arange(len(y))
    steps = 0
    while len(rows) and (most is None or steps < most):
        active = y[rows]
        change = 4 * (margin.curvature - 1 + active * fitted[rows])
        positive = np.count_nonzero(active > 0, axis=1)
        change[(positive <= smallest)[:, None] & (active > 0)] = np.inf
        change[(positive >= margin.n - smallest)[:, None] & (active < 0)] = np.inf
        flips = change.argmin(axis=1)
        gains = change[np.arange(len(rows)), flips] < -least_gain
        rows, flips = rows[gains], flips[gains]
        fitted[rows] -= 2 * y[rows, flips][:, None] * margin.columns(flips)
        y[rows, flips] *= -1
        steps += 1
    return y.astype(np.int8), fitted
