"""IEMMC: maximum-margin clustering by immune evolution, as a search strategy.

References:
    Zhu et al. 2013, "A Novel Automatic Detection System for ECG Arrhythmias Using Maximum Margin
    Clustering with Immune Evolutionary Algorithm", section 2.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import Builder, SearchContext, SearchResult, SearchSpace, Task
from nasbench_ecg_immune.bisection import Index, Split, bisect
from nasbench_ecg_immune.clusterer import Points, kernel_and_width, points, told, two_means
from nasbench_ecg_immune.direct import KWay
from nasbench_ecg_immune.evolution import ImmuneEvolution
from nasbench_ecg_immune.journal import Journal
from nasbench_ecg_immune.kernels import Kernel
from nasbench_ecg_immune.options import IemmcOptions
from nasbench_ecg_immune.scan import Int8s
from nasbench_ecg_immune.splitting import figures_of, split_cluster

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

        It needs no evaluation of ``ctx``, so of the budget only the seconds bind it. When it is
        stopped it goes on from the last generation that ``ctx.checkpoint`` has kept.

        Raises:
            OptionError: The beats cannot be clustered: too few, no features, no balance.
        """
        found = points("iemmc", task, space, ctx)
        kernel, width = kernel_and_width(found.x, self.options, ctx.rng)
        lam = 1 / (2 * self.options.C)
        # After the kernel, whose draws precede all that is kept.
        journal = Journal(ctx.checkpoint, ctx.rng, found.deadline)
        search = self._direct if self.options.method == "direct" else self._by_bisection
        codes, details = search(found, kernel, lam, ctx, journal)
        return found.result(codes, {"kernel_width": width, **details})

    def _by_bisection(
        self, found: Points, kernel: Kernel, lam: float, ctx: SearchContext, journal: Journal
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        smallest = found.smallest_side(self.options.balance)
        most = 2 * found.clusters - 3

        def split(index: Index, number: int) -> Split:
            if number == len(journal.done):
                journal.begin()
                side = smallest(len(index))
                made = split_cluster(
                    kernel, index, side, lam, self.options, ctx.rng,
                    given=self._given(found.x[index], side, ctx.rng),
                    run=lambda evolution, given: journal.evolve(
                        evolution, given, _logger(ctx, split=number)
                    ),
                )  # fmt: skip
                journal.end(*made)
            done = journal.done[number][0]
            bar.advance(objective=done.objective / len(index))
            return done

        with ctx.progress.track("Splitting clusters", most) as bar:
            result = bisect(len(found.x), found.clusters, smallest, split)
            bar.advance(most - len(journal.done))
        evolutions = [figures for _, figures in journal.done]
        return result.codes, {"splits": told(result), "evolutions": evolutions}

    def _direct(
        self, found: Points, kernel: Kernel, lam: float, ctx: SearchContext, journal: Journal
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        margin = kernel.margin(np.arange(len(found.x)), lam)
        smallest = found.smallest_cluster(self.options.balance)
        problem = KWay(
            margin.astype(self.options.precision), found.clusters, smallest, self.options.newcomers
        )
        evolution = ImmuneEvolution(problem, self.options, ctx.rng)
        journal.begin()
        given = []
        if self.options.start == "k-means":
            given = [problem.repair(_means(found.x, found.clusters, ctx.rng), ctx.rng)]
        log = _logger(ctx, split=0)
        with ctx.progress.track("Evolving labels", self.options.generations) as bar:

            def after(figures: Mapping[str, float]) -> None:
                log(figures)
                bar.advance(objective=1 - figures["memory_best"])

            journal.evolve(evolution, given, after)
            bar.advance(self.options.generations - evolution.generation)
        exact = KWay(margin, found.clusters, smallest)
        codes = evolution.best.genotype[None]
        objective = exact.objective(codes)
        for _ in range(_ROUNDS if self.options.polish else 0):
            before = objective[0]
            codes, objective = exact.improve(codes)
            if not objective[0] < before:
                break
        per_beat = float(objective[0]) / (found.clusters * len(found.x))
        return codes[0], {"objective": per_beat, "evolutions": [figures_of(evolution)]}

    def _given(
        self, x: NDArray[np.float64], smallest: int, rng: np.random.Generator
    ) -> list[Int8s]:
        return [two_means(x, smallest, rng)] if self.options.start == "k-means" else []


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
