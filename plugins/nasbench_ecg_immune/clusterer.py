"""What the clustering strategies share: the points, the bound, and how a result is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import OptionError, SearchContext, SearchResult, SearchSpace, Task
from nasbench_ecg_immune.bisection import Bisection
from nasbench_ecg_immune.features import clustered_beats
from nasbench_ecg_immune.kernels import Kernel, kernel_of, median_width
from nasbench_ecg_immune.labelings import Labelings
from nasbench_ecg_immune.labels import check_balance, smallest_cluster, to_architecture
from nasbench_ecg_immune.options import MarginOptions

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Points:
    """The beats to cluster.

    Attributes:
        x: float64 [n, d], standardised features: the training part, then the validation part.
        clusters: Clusters wanted.
        space: The space that the labelling is to be of.
        deadline: Reading of the monotonic clock at which the search should end.
    """

    x: Floats
    clusters: int
    space: Labelings
    deadline: float

    def smallest_side(self, balance: float) -> Callable[[int], int]:
        """Return the function that gives the fewest points of a side for the points of a cluster.

        −l·n ≤ 1ᵀy ≤ l·n holds in every split, n the points of the cluster that is split; the
        space's bound, of all points, holds too.

        Raises:
            OptionError: The bounds allow no split of all the points.
        """
        of_space = check_balance(len(self.x), self.clusters, self.space.options.balance)
        check_balance(len(self.x), 2, balance)
        return lambda n: max(1, of_space, smallest_cluster(n, balance))

    def smallest_cluster(self, balance: float) -> int:
        """Return the fewest points of each cluster where all are made at once.

        Every cluster against the rest keeps −l·n ≤ 1ᵀy ≤ l·n, the tighter of this and the space's.

        Raises:
            OptionError: The bound allows no labelling.
        """
        return check_balance(len(self.x), self.clusters, min(balance, self.space.options.balance))

    def result(self, codes: NDArray[Any], details: Mapping[str, Any]) -> SearchResult:
        """Return the labelling as an architecture."""
        sizes = np.sort(np.bincount(codes))[::-1]
        found = {"cluster_sizes": sizes[sizes > 0].tolist(), **details}
        return SearchResult(to_architecture(codes, self.clusters), found)


def points(name: str, task: Task, space: SearchSpace, ctx: SearchContext) -> Points:
    """Return the points of a task.

    Raises:
        OptionError: The space is not ``labelings``, there are fewer beats than clusters or fewer
            clusters than classes, or the features are missing or constant.
    """
    if not isinstance(space, Labelings):
        raise OptionError(
            f"{name} cannot search the space {space.name!r}.",
            fix="It searches labelings: leave --space out.",
        )
    n = len(task.train) + len(task.validation)
    check_balance(n, space.clusters, 1.0)
    if space.clusters < task.n_classes:
        raise OptionError(
            f"{space.clusters} clusters cannot stand for {task.n_classes} classes.",
            fix=f"Set space.clusters={task.n_classes} or more.",
        )
    seconds = ctx.budget.seconds
    deadline = math.inf if seconds is None else monotonic() + seconds
    return Points(clustered_beats(task), space.clusters, space, deadline)


def kernel_and_width(
    x: Floats, options: MarginOptions, rng: np.random.Generator
) -> tuple[Kernel, float]:
    """Return the kernel of points [n, d] and the width it has."""
    width = median_width(x, rng) if options.width is None else options.width
    kernel = kernel_of(x, width=width, exact_up_to=options.exact_up_to, rank=options.rank, rng=rng)
    return kernel, width


def two_means(x: Floats, smallest: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Return k-means with two clusters as ±1, int8 [n], within the balance bound.

    Where a side is too small, the points of the other that are nearest to its centre join it.
    """
    from sklearn.cluster import KMeans

    model = KMeans(2, n_init=1, random_state=int(rng.integers(2**31))).fit(x)
    distance = model.transform(x)
    positive = int(np.count_nonzero(model.labels_ == 0))
    allowed = min(max(positive, smallest), len(x) - smallest)
    order = np.argsort(distance[:, 0] - distance[:, 1], kind="stable")
    y = np.full(len(x), -1, np.int8)
    y[order[:allowed]] = 1
    return y


def told(bisection: Bisection) -> list[dict[str, float]]:
    """Return the splits made as JSON data: points, those on the smaller side, J by point."""
    return [
        {
            "beats": len(split.labels),
            "smaller_side": int(min((split.labels > 0).sum(), (split.labels < 0).sum())),
            "objective": split.objective / len(split.labels),
        }
        for split in bisection.splits
    ]
