"""Random antibodies of a clustering: what the first ones are, and those of receptor editing.

The paper creates them at random and says no more. Of labels that are drawn one by one, none lies
near a labelling with a wide margin, and the evolution ends wherever the scan takes the best of
them. Signs of random functions that a margin allows, few of them alike, are spread over the
labellings among which the best one is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg_immune.margin import Margin


def random_functions(margin: Margin, count: int, rng: np.random.Generator) -> NDArray[Any]:
    """Return [count, n], functions of equal kind in the first k leading directions of the kernel.

    k is drawn for all of them, log-uniformly; coefficients are normal.
    """
    leading = margin.leading
    most = len(leading)
    k = min(most, int(np.exp(rng.uniform(0, np.log(most + 1)))))
    coefficients = rng.standard_normal((count, k)).astype(leading.dtype)
    return np.asarray(coefficients @ leading[most - k :])
