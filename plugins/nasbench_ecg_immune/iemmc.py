"""IEMMC: maximum-margin clustering by immune evolution, as a search strategy.

References:
    Zhu et al. 2013, "A Novel Automatic Detection System for ECG Arrhythmias Using Maximum Margin
    Clustering with Immune Evolutionary Algorithm", section 2.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import Builder, SearchContext, SearchResult, SearchSpace, Task
from nasbench_ecg_immune.bisection import Index, Split, bisect
from nasbench_ecg_immune.clusterer import Points, kernel_and_width, points, told, two_means
from nasbench_ecg_immune.descent import descend
from nasbench_ecg_immune.direct import KWay
from nasbench_ecg_immune.evolution import ImmuneEvolution
from nasbench_ecg_immune.kernels import Kernel
from nasbench_ecg_immune.margin import Margin
from nasbench_ecg_immune.options import IemmcOptions
from nasbench_ecg_immune.scan import Int8s
from nasbench_ecg_immune.two_way import TwoWay

_ROUNDS = 20
"""Most midpoint scans of the polish."""


class Iemmc:
    """Clusters beats by their features alone: labels are not looked at.

    Choose it to group unlabelled beats by the widest margin. The objective has no gradient in the
    labels, so an immune evolution searches them; a midpoint scan betters each antibody.
    """

    def __init__(self, options: IemmcOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the labelling with the least objective found.

        It needs no evaluation of ``ctx``, so of the budget only the seconds bind it.

        Raises:
            OptionError: The beats cannot be clustered: too few, no features, no balance.
        """
        found = points("iemmc", task, space, ctx)
        smallest = found.smallest(self.options.balance)
        kernel, width = kernel_and_width(found.x, self.options, ctx.rng)
        lam = 1 / (2 * self.options.C)
        search = self._direct if self.options.method == "direct" else self._by_bisection
        with ctx.progress.track("Clustering", found.clusters - 1) as bar:
            codes, details = search(found, kernel, lam, smallest, ctx)
            bar.advance(found.clusters - 1)
        return found.result(codes, {"kernel_width": width, **details})

    def _by_bisection(
        self, found: Points, kernel: Kernel, lam: float, smallest: int, ctx: SearchContext
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        evolutions: list[dict[str, float]] = []

        def split(index: Index, number: int) -> Split:
            margin = kernel.margin(index, lam)
            given = self._given(found.x[index], smallest, ctx.rng)
            labels, objective, figures = maximise_margin(
                margin, smallest, self.options, ctx.rng,
                given=given, deadline=found.deadline, log=_logger(ctx, split=number),
            )  # fmt: skip
            evolutions.append(figures)
            return Split(labels, objective)

        result = bisect(len(found.x), found.clusters, smallest, split)
        return result.codes, {"splits": told(result), "evolutions": evolutions}

    def _direct(
        self, found: Points, kernel: Kernel, lam: float, smallest: int, ctx: SearchContext
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        margin = kernel.margin(np.arange(len(found.x)), lam)
        problem = KWay(margin.astype(self.options.precision), found.clusters, smallest)
        evolution = ImmuneEvolution(problem, self.options, ctx.rng)
        given = []
        if self.options.start == "k-means":
            given = [problem.repair(_means(found.x, found.clusters, ctx.rng), ctx.rng)]
        evolution.start(given)
        best = evolution.run(deadline=found.deadline, after=_logger(ctx, split=0)).genotype
        exact = KWay(margin, found.clusters, smallest)
        codes, objective = best[None], exact.objective(best[None])
        for _ in range(_ROUNDS if self.options.polish else 0):
            before = objective[0]
            codes, objective = exact.improve(codes)
            if not objective[0] < before:
                break
        per_beat = float(objective[0]) / (found.clusters * len(found.x))
        return codes[0], {"objective": per_beat, "evolutions": [_figures(evolution)]}

    def _given(
        self, x: NDArray[np.float64], smallest: int, rng: np.random.Generator
    ) -> list[Int8s]:
        return [two_means(x, smallest, rng)] if self.options.start == "k-means" else []


def maximise_margin(
    margin: Margin, smallest: int, options: IemmcOptions, rng: np.random.Generator, *,
    given: Sequence[Int8s] = (), deadline: float = float("inf"),
    log: Any = lambda figures: None,
) -> tuple[Int8s, float, dict[str, float]]:  # fmt: skip
    """Return labels, int8 [n], their J, and figures of the evolution that found them.

    Args:
        margin: The objective in float64.
        smallest: Fewest points on either side.
        options: Of the evolution, its precision and polish.
        rng: Generator of all that is random.
        given: Labels to start from, besides random ones.
        deadline: Reading of the monotonic clock at which it should end.
        log: Called after each generation with its figures.
    """
    evolution = ImmuneEvolution(
        TwoWay(margin.astype(options.precision), smallest, options.flips), options, rng
    )
    evolution.start(given)
    evolution.run(deadline=deadline, after=log)
    labels = np.stack([one.genotype for one in evolution.memory])
    if options.polish:
        labels = polish(
            margin, labels, smallest, by_single_flips=len(labels[0]) <= options.exact_up_to
        )
    objective = margin.objective(labels)
    best = int(objective.argmin())
    return labels[best], float(objective[best]), _figures(evolution)


def polish(margin: Margin, labels: Int8s, smallest: int, *, by_single_flips: bool) -> Int8s:
    """Return labels, int8 [P, n], after midpoint scans until none helps, then single flips.

    No row gets worse.
    """
    problem = TwoWay(margin, smallest)
    objective = margin.objective(labels)
    for _ in range(_ROUNDS):
        before = objective
        labels, objective = problem.improve(labels)
        if not (objective < before).any():
            break
    if not by_single_flips:
        return labels
    return descend(margin, np.unique(labels * labels[:, :1], axis=0), smallest)[0]


def _means(x: NDArray[np.float64], clusters: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    from sklearn.cluster import KMeans

    model = KMeans(clusters, n_init=1, random_state=int(rng.integers(2**31)))
    return np.asarray(model.fit_predict(x), np.uint8)


def _logger(ctx: SearchContext, split: int) -> Any:
    def log(figures: Mapping[str, float]) -> None:
        ctx.log(
            figures["memory_best"],
            split=split,
            generation=figures["generation"],
            objective=1 - figures["memory_best"],
            mean=figures["mean"],
            diversity=figures["diversity"],
            antibodies=figures["evaluations"],
        )

    return log


def _figures(evolution: ImmuneEvolution[Any]) -> dict[str, float]:
    best = [row["memory_best"] for row in evolution.logbook]
    return {
        "generations": evolution.generation,
        "antibodies": evolution.evaluations,
        "generation_of_best": best.index(best[-1]) + 1,
    }
