"""Common to all clustering strategies: from a task's beats to points, from clusters to a result.

Beats arrive as [n, n_leads, n_samples]. A dataset of features has them as [n, 1, n_features];
waveforms are flattened to n_leads · n_samples numbers. Every feature is standardized over the beats
that are clustered, so units do not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import (
    Beats,
    OptionError,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
    join,
)
from nasbench_ecg_immune.kernels import Kernel, kernel_of, median_width
from nasbench_ecg_immune.objective import Floats, Int8s
from nasbench_ecg_immune.options import MarginOptions
from nasbench_ecg_immune.space import (
    Codes,
    Labelings,
    check_balance,
    min_cluster_size,
    to_architecture,
)


@dataclass(frozen=True, eq=False)
class ClusteringTask:
    """The points to cluster and the bounds of a search.

    Attributes:
        x: float64 [n, d], standardized features: the training part, then the validation part.
        clusters: Number of clusters.
        space: The search space of the result.
        deadline: Monotonic clock time at which the search should end.
    """

    x: Floats
    clusters: int
    space: Labelings
    deadline: float

    def min_side(self, balance: float) -> Callable[[int], int]:
        """Return a function from the size of a cluster to the fewest points of a side of its split.

        −l·n ≤ 1ᵀy ≤ l·n holds in every split, with n the size of the cluster that is split; the
        bound of the space on all points holds, too.

        Raises:
            OptionError: The bounds allow no split of all points.
        """
        of_space = check_balance(len(self.x), self.clusters, self.space.options.balance)
        check_balance(len(self.x), 2, balance)
        return lambda n: max(1, of_space, min_cluster_size(n, balance))

    def min_cluster(self, balance: float) -> int:
        """Return the fewest points of each cluster if all clusters are made at once.

        Every cluster against the rest keeps −l·n ≤ 1ᵀy ≤ l·n, with the smaller of ``balance`` and
        the bound of the space.

        Raises:
            OptionError: The bound allows no labeling.
        """
        return check_balance(len(self.x), self.clusters, min(balance, self.space.options.balance))

    def result(self, codes: NDArray[Any], details: Mapping[str, Any]) -> SearchResult:
        """Return the labeling ``codes`` [n] as an architecture, and the details with its sizes."""
        sizes = np.sort(np.bincount(codes))[::-1]
        architecture = to_architecture(codes, self.clusters)
        return SearchResult(architecture, {"cluster_sizes": sizes[sizes > 0].tolist(), **details})


def clustering_task(
    strategy: str, task: Task, space: SearchSpace, ctx: SearchContext
) -> ClusteringTask:
    """Return the clustering task of a strategy, named for error messages.

    Raises:
        OptionError: The space is not ``labelings``, there are fewer beats than clusters or fewer
            clusters than classes, or features are missing or constant.
    """
    if not isinstance(space, Labelings):
        raise OptionError(
            f"{strategy} cannot search the space {space.name!r}.",
            fix="It searches the space labelings: omit --space.",
        )
    n = len(task.train) + len(task.validation)
    check_balance(n, space.clusters, 1.0)
    if space.clusters < task.n_classes:
        raise OptionError(
            f"{space.clusters} clusters are too few for {task.n_classes} classes.",
            fix=f"Set space.clusters={task.n_classes} or more.",
        )
    seconds = ctx.budget.seconds
    deadline = math.inf if seconds is None else monotonic() + seconds
    return ClusteringTask(clustered_beats(task), space.clusters, space, deadline)


def clustered_beats(task: Task) -> Floats:
    """Return float64 [n, d], the standardized features of all beats that a strategy may use.

    The training part comes first, then the validation part, as in a labeling.

    Raises:
        OptionError: As :func:`standardization`.
    """
    both = join([task.train, task.validation])
    return standardization(both).apply(both)


@dataclass(frozen=True, eq=False)
class Standardization:
    """Mean and standard deviation of every feature.

    Attributes:
        mean: float64 [d].
        scale: float64 [d], positive.
    """

    mean: Floats
    scale: Floats

    def apply(self, beats: Beats) -> Floats:
        """Return float64 [n, d], the standardized features of ``beats``."""
        return (feature_vectors(beats) - self.mean) / self.scale


def standardization(beats: Beats) -> Standardization:
    """Return the mean and the standard deviation of every feature over ``beats``.

    Raises:
        OptionError: A feature is not finite somewhere, or is constant.
    """
    x = feature_vectors(beats)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    constant = np.flatnonzero(scale <= 1e-12 * np.maximum(1, np.abs(mean)))
    if len(constant):
        raise OptionError(
            f"{len(constant)} of {len(scale)} features are constant over all beats.",
            where=f"feature {constant[0] + 1} is {mean[constant[0]]:g} everywhere",
            fix="Remove constant features from the dataset, or use more beats.",
        )
    return Standardization(mean, scale)


def feature_vectors(beats: Beats) -> Floats:
    """Return float64 [n, n_leads · n_samples], the features of ``beats`` as stored.

    Raises:
        OptionError: A feature is not finite somewhere.
    """
    x = beats.signals.reshape(len(beats), -1).astype(np.float64)
    bad = ~np.isfinite(x)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise OptionError(
            f"{int(bad.any(axis=1).sum())} of {len(x)} beats have missing or infinite features.",
            where=f"feature {column + 1} of the beat at sample {int(beats.sample[row])} of record "
            f"{beats.records[beats.record[row]]}",
            fix="Remove these beats from the dataset, or replace the missing values.",
        )
    return x


def kernel_and_width(
    x: Floats, options: MarginOptions, rng: np.random.Generator
) -> tuple[Kernel, float]:
    """Return the kernel of points [n, d] and its width."""
    width = median_width(x, rng) if options.width is None else options.width
    kernel = kernel_of(x, width=width, exact_up_to=options.exact_up_to, rank=options.rank, rng=rng)
    return kernel, width


def k_means(x: Floats, clusters: int, rng: np.random.Generator) -> Codes:
    """Return the clusters of k-means, uint8 [n]."""
    from sklearn.cluster import KMeans

    model = KMeans(clusters, n_init=1, random_state=int(rng.integers(2**31)))
    return np.asarray(model.fit_predict(x), np.uint8)


def two_means(x: Floats, min_size: int, rng: np.random.Generator) -> Int8s:
    """Return the two clusters of k-means as ±1, int8 [n], within the balance bound.

    If a side has fewer than ``min_size`` points, the points of the other side that are nearest to
    its center join it.
    """
    from sklearn.cluster import KMeans

    model = KMeans(2, n_init=1, random_state=int(rng.integers(2**31))).fit(x)
    distance = model.transform(x)
    positive = int(np.count_nonzero(model.labels_ == 0))
    allowed = min(max(positive, min_size), len(x) - min_size)
    order = np.argsort(distance[:, 0] - distance[:, 1], kind="stable")
    y = np.full(len(x), -1, np.int8)
    y[order[:allowed]] = 1
    return y
