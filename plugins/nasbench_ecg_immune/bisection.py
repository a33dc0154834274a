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
    """A cluster divided into two sides.

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
    """Clusters and the splits that made them.

    Attributes:
        codes: uint8 [n], the cluster of every point.
        splits: The splits in the order in which they were made.
    """

    codes: Codes
    splits: tuple[Split, ...]

    def summary(self) -> list[dict[str, float]]:
        """Return each split as JSON data: its points, those of the smaller side, J by point."""
        return [
            {
                "beats": len(split.labels),
                "smaller_side": int(min((split.labels > 0).sum(), (split.labels < 0).sum())),
                "objective": split.objective / len(split.labels),
            }
            for split in self.splits
        ]


def bisect(
    n: int,
    clusters: int,
    min_side: Callable[[int], int],
    split: Callable[[Index, int], Split],
) -> Bisection:
    """Split n points into clusters; each step makes the split with the largest gain.

    Args:
        n: Number of points.
        clusters: Number of clusters wanted. There are fewer if none can be split any more.
        min_side: Returns the fewest points of a side for the size of the cluster to split. A
            cluster that has fewer than two such sides is not split.
        split: Called with the indices of a cluster and a running number; returns its best split.
    """
    codes = np.zeros(n, np.uint8)
    made: list[Split] = []
    candidates: dict[int, Split] = {}
    n_splits = 0
    new_clusters = [0]
    for new in range(1, clusters):
        for cluster in new_clusters:
            index = np.flatnonzero(codes == cluster)
            if len(index) >= 2 * min_side(len(index)):
                candidates[cluster] = split(index, n_splits)
                n_splits += 1
        if not candidates:
            break
        chosen = max(candidates, key=lambda cluster: candidates[cluster].gain)
        best = candidates.pop(chosen)
        codes[np.flatnonzero(codes == chosen)[best.labels > 0]] = new
        made.append(best)
        new_clusters = [chosen, new]
    return Bisection(codes, tuple(made))
