"""Single-flip descent: the flip that lowers the objective most, again and again, until none does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg_immune.margin import Margin

_GAIN = 1e-9
"""A flip that lowers the objective by less is none."""


def descend(
    margin: Margin, labels: NDArray[Any], smallest: int, most: int | None = None
) -> NDArray[np.int8]:
    """Return labels, int8 [n], that no single flip betters, reached from ``labels`` [n].

    A flip i changes J by −4 y_i g_i + 4 A_ii; a step costs O(n·r).

    Args:
        margin: The objective.
        labels: ±1, with ``smallest`` points or more on either side, which every step keeps.
        smallest: Fewest points with either label.
        most: Most flips; by default as many as it takes.
    """
    y = labels.astype(margin.basis.dtype)
    fitted = margin.fitted(y[None])[0]
    curvature, smoother = margin.curvature(), margin.smoother
    steps = 0
    while most is None or steps < most:
        change = 4 * (curvature - 1 + y * fitted)
        for side in (-1, 1):
            if np.count_nonzero(y == side) <= smallest:
                change[y == side] = np.inf
        i = int(change.argmin())
        if not change[i] < -_GAIN:
            break
        column = margin.basis @ margin.basis[i] if smoother is None else smoother[i]
        fitted -= 2 * y[i] * column
        y[i] = -y[i]
        steps += 1
    return y.astype(np.int8)
