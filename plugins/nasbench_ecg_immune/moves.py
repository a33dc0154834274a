"""Single-flip descent: always the flip that lowers the objective most, until none does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg_immune.objective import Margin


def descend(
    margin: Margin,
    labels: NDArray[Any],
    smallest: int,
    most: int | None = None,
) -> tuple[NDArray[np.int8], NDArray[Any]]:
    """Return labels, int8 [P, n], reached from ``labels`` by single flips, and their fitted values.

    A flip i changes J by −4 y_i g_i + 4 A_ii = 4(A_ii − 1 + y_i S_i y), with S = I − A the
    smoother; all rows step at once, O(n) each where S is at hand, otherwise O(n·r).

    Args:
        margin: The objective.
        labels: ±1 [P, n], with ``smallest`` points or more on either side, which every step keeps.
        smallest: Fewest points with either label.
        most: Most flips of a row; by default until no flip betters any row.
    """
    # Flips that gain less than rounding may go in circles.
    least_gain = 25 * np.finfo(margin.basis.dtype).eps * margin.n
    y = labels.astype(margin.basis.dtype)
    fitted = margin.fitted(y)
    offset = margin.curvature - 1
    positive = np.count_nonzero(y > 0, axis=1)
    # No fitted value is larger than √n, so this keeps a label out of the choice.
    barred = 4 * np.sqrt(margin.n)
    going, ended_y, ended_fitted = np.arange(len(y)), np.empty_like(y), np.empty_like(fitted)
    steps = 0
    while len(going) and (most is None or steps < most):
        full = np.where(positive <= smallest, 1, np.where(positive >= margin.n - smallest, -1, 0))
        quarter = fitted * y
        if full.any():
            quarter += (barred * full).astype(y.dtype)[:, None] * y
        quarter += offset
        rows, flips = np.arange(len(going)), quarter.argmin(axis=1)
        signs = y[rows, flips]
        gains = signs * fitted[rows, flips] + offset[flips] < -least_gain
        gains &= signs != full
        if not gains.all():
            ended_y[going[~gains]], ended_fitted[going[~gains]] = y[~gains], fitted[~gains]
            going, y, fitted, positive = going[gains], y[gains], fitted[gains], positive[gains]
            rows, flips, signs = rows[: len(going)], flips[gains], signs[gains]
        change = margin.columns(flips)
        change *= 2 * signs[:, None]
        fitted -= change
        y[rows, flips] = -signs
        positive -= signs.astype(positive.dtype)
        steps += 1
    ended_y[going], ended_fitted[going] = y, fitted
    return ended_y.astype(np.int8), ended_fitted
