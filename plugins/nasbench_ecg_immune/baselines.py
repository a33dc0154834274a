"""The methods that the paper compares IEMMC with: k-means, iterSVR and a supervised SVM.

References:
    Zhang, Tsang, Kwok 2009, "Maximum margin clustering made practical", IEEE Trans. Neural
    Networks 20(4), 583–596: iterative support vector regression.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import (
    Builder,
    Checkpoint,
    OptionError,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
    join,
)
from nasbench_ecg_immune.bisection import Index, Split, bisect
from nasbench_ecg_immune.clustering import (
    ClusteringTask,
    kernel_and_width,
    search_labeling,
    two_means,
)
from nasbench_ecg_immune.kernels import Kernel, random_subset
from nasbench_ecg_immune.local_search import best_threshold_of_absolute_loss
from nasbench_ecg_immune.objective import Floats, Int8s
from nasbench_ecg_immune.options import IterSvrOptions, KMeansOptions, SvmRbfOptions


class KMeansClustering:
    """Standard k-means on the standardized features: the baseline of the clustering methods."""

    def __init__(self, options: KMeansOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the labeling with the smallest within-cluster sum of squares found."""
        from sklearn.cluster import KMeans

        def cluster(
            points: ClusteringTask, own: Task, checkpoint: Checkpoint
        ) -> tuple[NDArray[Any], dict[str, Any]]:
            seed, starts = int(ctx.rng.integers(2**31)), self.options.starts
            model = KMeans(points.clusters, n_init=starts, random_state=seed).fit(points.x)
            return model.labels_, {"within_per_beat": model.inertia_ / len(points.x)}

        return search_labeling("k-means", task, space, ctx, cluster)


class IterSvr:
    """Iterative support vector regression: maximum-margin clustering without evolution.

    Each round regresses the current labels with ε = 0, finds the bias by the midpoint scan and
    relabels, until no label changes. More than two clusters are made by bisection, as in ``iemmc``.

    Source: Zhang, Tsang, Kwok 2009.
    """

    def __init__(self, options: IterSvrOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the labeling after the last round of every split.

        Only a budget of seconds limits it; once it is spent, every split still gets one round.
        """
        return search_labeling(
            "itersvr", task, space, ctx, lambda points, *_: self._cluster(points, ctx)
        )

    def _cluster(
        self, points: ClusteringTask, ctx: SearchContext
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return the cluster of every point, uint8 [n], and details."""
        min_side = points.min_side(self.options.balance)
        kernel, width = kernel_and_width(points.x, self.options, ctx.rng)
        rounds: list[int] = []

        def split(index: Index, number: int) -> Split:
            margin = kernel.margin(index, 1 / (2 * self.options.C))
            side = min_side(len(index))
            y = self._initial_labels(points.x[index], side, ctx.rng)
            for round_ in range(1, self.options.rounds + 1):
                values = self._regress(kernel, index, y, ctx.rng)
                before, y = y, _relabel(y, values, side)
                objective = float(margin.objective(y[None])[0])
                per_beat = objective / len(index)
                if points.record is None:
                    ctx.log(1 - per_beat, split=number, generation=round_, objective=per_beat)
                if np.array_equal(before, y) or monotonic() >= points.deadline:
                    break
            rounds.append(round_)
            return Split(y, objective)

        bisection = bisect(len(points.x), points.clusters, min_side, split)
        details = {"splits": bisection.summary(), "rounds": rounds, "kernel_width": width}
        return bisection.codes, details

    def _initial_labels(self, x: Floats, min_size: int, rng: np.random.Generator) -> Int8s:
        if self.options.start == "k-means":
            return two_means(x, min_size, rng)
        positive = rng.integers(min_size, len(x) - min_size + 1)
        return rng.permutation(np.where(np.arange(len(x)) < positive, 1, -1).astype(np.int8))

    def _regress(self, kernel: Kernel, index: Index, y: Int8s, rng: np.random.Generator) -> Floats:
        """Return the values, float64 [n], of the function fitted to labels y [n], without bias."""
        from sklearn.svm import SVR

        n, size = len(index), self.options.fit_beats
        chosen = np.arange(n) if n <= size else random_subset(n, size, rng)
        if len(np.unique(y[chosen])) < 2:
            return np.zeros(n)
        options = self.options
        model = SVR(kernel="precomputed", C=options.C, epsilon=0.0, tol=options.tolerance)
        model.random_state = 0  # for a number that it draws and does not use; as in SvmRbf
        model.fit(kernel.gram(index[chosen]), y[chosen])
        support = index[chosen[model.support_]]
        return kernel.expand(index, support, model.dual_coef_.ravel())


class SvmRbf:
    """A support vector machine trained on a share of the labels: the paper's supervised reference.

    It is not a clustering: it uses labels, and its labeling is its prediction for all beats.
    """

    def __init__(self, options: SvmRbfOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the predicted class of every beat as a labeling.

        Raises:
            OptionError: The beats that it would be trained on all have one class.
        """
        from sklearn.svm import SVC

        def cluster(
            points: ClusteringTask, own: Task, checkpoint: Checkpoint
        ) -> tuple[NDArray[Any], dict[str, Any]]:
            labels = join([own.train, own.validation]).labels
            n = len(labels)
            size = min(max(2, round(self.options.share * n)), self.options.fit_beats, n)
            chosen = random_subset(n, size, ctx.rng)
            if len(np.unique(labels[chosen])) < 2:
                raise OptionError(
                    f"The {size} beats that svm-rbf is trained on all have one class.",
                    where="" if points.record is None else f"record {points.record}",
                    fix="Increase strategy.share.",
                )
            # It draws a number that it does not use: without a seed, from numpy's generator.
            model = SVC(C=self.options.C, kernel="rbf", gamma="scale", random_state=0)
            model.fit(points.x[chosen], labels[chosen])
            return model.predict(points.x), {"labels_seen": size}

        return search_labeling("svm-rbf", task, space, ctx, cluster)


def _relabel(y: Int8s, values: Floats, min_size: int) -> Int8s:
    """Return the signs after the best threshold, int8 [n]; y itself if there is none."""
    threshold = best_threshold_of_absolute_loss(values, min_size)
    return y if np.isnan(threshold) else np.where(values > threshold, 1, -1).astype(np.int8)
