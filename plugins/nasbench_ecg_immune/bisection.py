"""More than two clusters by splitting one cluster after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg_immune.objective import Int8s
from nasbench_ecg_immune.space import Codes

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Two sides of a cluster.

    Attributes:
        labels: int8 [n], −1 or 1 for every point of the cluster.
        objective: J of these labels over the cluster.
    """

    labels: Int8s
    objective: float

    @property
    def gain(self) -> float:
        """What the separating function explains beyond a constant: n(1 − ȳ²) − J, in points."""
        n = len(self.labels)
        return float(n - int(self.labels.sum(dtype=np.int64)) ** 2 / n - self.objective)


@dataclass(frozen=True, eq=False)
class Bisection:
    """Clusters, and the splits that made them.

    Attributes:
        codes: uint8 [n], the cluster of every point.
        splits: Those made, in order, each with the number of points it parted.
    """

    codes: Codes
    splits: tuple[Split, ...]


def bisect(
    n: int,
    clusters: int,
    smallest: Callable[[int], int],
    split: Callable[[Index, int], Split],
) -> Bisection:
    """Split n points into clusters; each time, the cluster whose split gains most is parted.

    Args:
        n: Number of points.
        clusters: Clusters wanted. There are fewer in the end where none can be split any more.
        smallest: Returns the fewest points of a side, given the points of a cluster that is to be
            split; a cluster with fewer than twice as many is left whole.
        split: Called with the indices of a cluster and a running number; returns its two sides.
    """
    codes = np.zeros(n, np.uint8)
    made: list[Split] = []
    open_splits: dict[int, Split] = {}
    asked = 0
    fresh = [0]
    for new in range(1, clusters):
        for cluster in fresh:
            index = np.flatnonzero(codes == cluster)
            if len(index) >= 2 * smallest(len(index)):
                open_splits[cluster] = split(index, asked)
                asked += 1
        if not open_splits:
            break
        chosen = max(open_splits, key=lambda cluster: open_splits[cluster].gain)
        best = open_splits.pop(chosen)
        codes[np.flatnonzero(codes == chosen)[best.labels > 0]] = new
        made.append(best)
        fresh = [chosen, new]
    return Bisection(codes, tuple(made))
