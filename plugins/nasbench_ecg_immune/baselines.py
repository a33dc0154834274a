"""What IEMMC is compared with, on the same beats: k-means, iterSVR and a supervised SVM.

References:
    Zhang, Tsang, Kwok 2009, "Maximum margin clustering made practical", IEEE Trans. Neural
    Networks 20(4), 583–596: iterative support vector regression.
"""

from __future__ import annotations

from time import monotonic

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import (
    Builder,
    OptionError,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
    join,
)
from nasbench_ecg_immune.bisection import Index, Split, bisect
from nasbench_ecg_immune.iemmc import kernel_and_width, points, told, two_means
from nasbench_ecg_immune.kernels import Kernel
from nasbench_ecg_immune.objective import Int8s, best_threshold_of_absolute_loss
from nasbench_ecg_immune.options import IterSvrOptions, KMeansOptions, SvmRbfOptions


class KMeansClustering:
    """Standard k-means on the standardised features, the floor of the clustering methods."""

    def __init__(self, options: KMeansOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the labelling with the least within-cluster sum of squares."""
        from sklearn.cluster import KMeans

        found = points("k-means", task, space, ctx)
        seed = int(ctx.rng.integers(2**31))
        model = KMeans(found.clusters, n_init=self.options.starts, random_state=seed).fit(found.x)
        return found.result(model.labels_, {"within_per_beat": model.inertia_ / len(found.x)})


class IterSvr:
    """Iterative support vector regression: maximum-margin clustering without evolution.

    Regress the current labels with ε = 0, find the bias by the midpoint scan, relabel, until the
    labels stay. More than two clusters are made by bisection, as in ``iemmc``.
    """

    def __init__(self, options: IterSvrOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the labelling that the rounds end at.

        Of the budget the seconds bind it: after them each split has one round.
        """
        found = points("itersvr", task, space, ctx)
        smallest = found.smallest_side(self.options.balance)
        kernel, width = kernel_and_width(found.x, self.options, ctx.rng)
        rounds: list[int] = []

        def split(index: Index, number: int) -> Split:
            margin = kernel.margin(index, 1 / (2 * self.options.C))
            side = smallest(len(index))
            y = self._start(found.x[index], side, ctx.rng)
            for done in range(1, self.options.rounds + 1):
                values = self._regress(kernel, index, y, ctx.rng)
                before, y = y, _relabelled(y, values, side)
                objective = float(margin.objective(y[None])[0])
                per_beat = objective / len(index)
                ctx.log(1 - per_beat, split=number, generation=done, objective=per_beat)
                if np.array_equal(before, y) or monotonic() >= found.deadline:
                    break
            rounds.append(done)
            return Split(y, objective)

        result = bisect(len(found.x), found.clusters, smallest, split)
        details = {"splits": told(result), "rounds": rounds, "kernel_width": width}
        return found.result(result.codes, details)

    def _start(self, x: NDArray[np.float64], smallest: int, rng: np.random.Generator) -> Int8s:
        if self.options.start == "k-means":
            return two_means(x, smallest, rng)
        positive = rng.integers(smallest, len(x) - smallest + 1)
        return rng.permutation(np.where(np.arange(len(x)) < positive, 1, -1).astype(np.int8))

    def _regress(
        self, kernel: Kernel, index: Index, y: Int8s, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the fitted function without its bias at every point of ``index``."""
        from sklearn.svm import SVR

        n, most = len(index), self.options.fit_beats
        chosen = np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))
        if len(np.unique(y[chosen])) < 2:
            return np.zeros(n)
        options = self.options
        model = SVR(kernel="precomputed", C=options.C, epsilon=0.0, tol=options.tolerance)
        model.fit(kernel.gram(index[chosen]), y[chosen])
        support = index[chosen[model.support_]]
        return kernel.expand(index, support, model.dual_coef_.ravel())


class SvmRbf:
    """A support vector machine trained on a share of the labels: the paper's supervised reference.

    Its labelling is its prediction for all beats, so it is no clustering: it has seen labels.
    """

    def __init__(self, options: SvmRbfOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the predicted class of every beat as a labelling.

        Raises:
            OptionError: The share of the beats holds one class only.
        """
        from sklearn.svm import SVC

        found = points("svm-rbf", task, space, ctx)
        labels = join([task.train, task.validation]).labels
        n = len(labels)
        size = min(max(2, round(self.options.share * n)), self.options.fit_beats, n)
        chosen = np.sort(ctx.rng.choice(n, size, replace=False))
        if len(np.unique(labels[chosen])) < 2:
            raise OptionError(
                f"The {size} beats that svm-rbf learns from are all of one class.",
                fix="Raise strategy.share.",
            )
        model = SVC(C=self.options.C, kernel="rbf", gamma="scale")
        model.fit(found.x[chosen], labels[chosen])
        return found.result(model.predict(found.x), {"labels_seen": size})


def _relabelled(y: Int8s, values: NDArray[np.float64], smallest: int) -> Int8s:
    threshold = best_threshold_of_absolute_loss(values, smallest)
    return y if np.isnan(threshold) else np.where(values > threshold, 1, -1).astype(np.int8)
