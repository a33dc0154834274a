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
    Checkpoint,
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
    canonical,
    check_balance,
    min_cluster_size,
)


@dataclass(frozen=True, eq=False)
class ClusteringTask:
    """The points to cluster and the bounds of a search.

    Attributes:
        x: float64 [n, d], standardized features: the training part, then the validation part.
        clusters: Number of clusters.
        space: The search space of the result.
        deadline: Monotonic clock time at which the search should end.
        record: The record whose beats these are, if each record is clustered on its own.
    """

    x: Floats
    clusters: int
    space: Labelings
    deadline: float
    record: str | None = None

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
        sizes = cluster_sizes(codes)
        return SearchResult(self.space.architecture(codes), {"cluster_sizes": sizes, **details})


def cluster_sizes(codes: NDArray[Any]) -> list[int]:
    """Return the number of beats of every cluster that has one, largest first."""
    sizes: list[int] = np.sort(np.bincount(codes))[::-1].tolist()
    return [size for size in sizes if size]


ClusterPoints = Callable[[ClusteringTask, Task, Checkpoint], tuple[NDArray[Any], Mapping[str, Any]]]
"""Clusters the points of a task: returns the cluster of every point, and details."""


def search_labeling(
    strategy: str, task: Task, space: SearchSpace, ctx: SearchContext, cluster: ClusterPoints
) -> SearchResult:
    """Return the labeling that ``cluster`` finds, of all beats or of those of each record.

    Args:
        strategy: Name of the strategy, for error messages.
        task: The task of the search.
        space: The space ``labelings``, whose option ``within`` decides what is clustered together.
        ctx: The context of the search. Records that are clustered on their own are saved one by
            one.
        cluster: Called with the points, their task, and a checkpoint of its own.

    Raises:
        OptionError: The space is not ``labelings``, there are fewer beats than clusters or fewer
            clusters than classes, or features are missing or constant.
    """
    labelings = _check_space(strategy, task, space)
    if labelings.options.within is None:
        x = clustered_beats(task)
        points = ClusteringTask(x, labelings.clusters, labelings, _deadline(ctx))
        codes, details = cluster(points, task, ctx.checkpoint)
        return points.result(codes, details)
    parts = record_tasks(task)
    saved = ctx.checkpoint.load()
    done: list[Any] = [] if saved is None else list(saved["records"])
    deadline = _deadline(ctx)  # after the seconds before an interruption are known
    with ctx.progress.track("Clustering records", len(parts)) as bar:
        bar.advance(len(done))
        for number in range(len(done), len(parts)):
            name, own, _ = parts[number]
            _check_space(strategy, own, space, where=f"record {name}")
            x = clustered_beats(own, ignore_constant=True)
            points = ClusteringTask(x, labelings.clusters, labelings, deadline, name)
            codes, details = cluster(points, own, _NoCheckpoint())
            sized = {"cluster_sizes": cluster_sizes(codes), **details}
            done.append({"codes": canonical(codes).tolist(), "details": sized})
            if ctx.checkpoint.due():
                ctx.checkpoint.save({"records": done})
            bar.advance()
    together = np.empty(len(task.train) + len(task.validation), np.uint8)
    for (_, _, index), one in zip(parts, done, strict=True):
        together[index] = one["codes"]
    found = {name: one["details"] for (name, _, _), one in zip(parts, done, strict=True)}
    return SearchResult(labelings.architecture(together), {"records": found})


def _deadline(ctx: SearchContext) -> float:
    """Return the monotonic clock time at which the budget of seconds ends."""
    seconds = ctx.budget.seconds
    return math.inf if seconds is None else monotonic() + seconds - ctx.seconds


def _check_space(strategy: str, task: Task, space: SearchSpace, where: str = "") -> Labelings:
    """Return the space if it has enough clusters for the classes and few enough for the beats."""
    if not isinstance(space, Labelings):
        raise OptionError(
            f"{strategy} cannot search the space {space.name!r}.",
            fix="It searches the space labelings: omit --space.",
        )
    try:
        check_balance(len(task.train) + len(task.validation), space.clusters, 1.0)
    except OptionError as error:
        raise OptionError(error.what, where=where or error.where, fix=error.fix) from None
    if space.clusters < task.n_classes:
        raise OptionError(
            f"{space.clusters} clusters are too few for {task.n_classes} classes.",
            fix=f"Set space.clusters={task.n_classes} or more.",
        )
    return space


class _NoCheckpoint:
    """A checkpoint that stores nothing: the clustering of one record is short."""

    def due(self) -> bool:
        return False

    def save(self, state: Mapping[str, Any]) -> None:
        pass

    def load(self) -> dict[str, Any] | None:
        return None


def record_tasks(task: Task) -> list[tuple[str, Task, NDArray[np.int64]]]:
    """Return the task of each record with beats, as (name, task, index).

    ``index``, int64 [n], is where its beats are among all of the training and validation part; the
    training part comes first in both.
    """
    parts = []
    for number, name in enumerate(task.train.records):
        train, validation = (
            np.flatnonzero(beats.record == number) for beats in (task.train, task.validation)
        )
        if len(train) + len(validation):
            own = Task(task.train.take(train), task.validation.take(validation), task.macro_classes)
            parts.append((name, own, np.concatenate([train, len(task.train) + validation])))
    return parts


def clustered_beats(task: Task, *, ignore_constant: bool = False) -> Floats:
    """Return float64 [n, d], the standardized features of all beats that a strategy may use.

    The training part comes first, then the validation part, as in a labeling.

    Raises:
        OptionError: As :func:`standardization`.
    """
    both = join([task.train, task.validation])
    return standardization(both, ignore_constant=ignore_constant).apply(both)


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


def standardization(beats: Beats, *, ignore_constant: bool = False) -> Standardization:
    """Return the mean and the standard deviation of every feature over ``beats``.

    Args:
        beats: Beats as feature vectors or as waveforms.
        ignore_constant: A constant feature gets an infinite deviation, so that it becomes zero.

    Raises:
        OptionError: A feature is not finite somewhere, or is constant.
    """
    x = feature_vectors(beats)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    constant = np.flatnonzero(scale <= 1e-12 * np.maximum(1, np.abs(mean)))
    if ignore_constant and len(constant) < len(scale):
        scale[constant] = np.inf
    elif len(constant):
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
