"""IEMMC: maximum-margin clustering by immune evolution, as a search strategy.

Two clusters (:func:`split_cluster`): an :class:`ImmuneEvolution` of label vectors, whose affinity
is the maximum-margin objective, and a polish of the best ones. More clusters: one bisection after
another, or all at once.

References:
    Zhu et al. 2013, "A Novel Automatic Detection System for ECG Arrhythmias Using Maximum Margin
    Clustering with Immune Evolutionary Algorithm", section 2.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.api import Builder, Checkpoint, SearchContext, SearchResult, SearchSpace, Task
from nasbench_ecg_immune.bisection import Index, Split, bisect
from nasbench_ecg_immune.clustering import (
    ClusteringTask,
    k_means,
    kernel_and_width,
    search_labeling,
    two_means,
)
from nasbench_ecg_immune.engine import ImmuneEvolution
from nasbench_ecg_immune.kernels import Kernel, random_subset
from nasbench_ecg_immune.local_search import midpoint_scan, single_flip_descent
from nasbench_ecg_immune.objective import Floats, Int8s, Margin
from nasbench_ecg_immune.options import IemmcOptions
from nasbench_ecg_immune.problems import KWay, TwoWay, labels_from_text, labels_to_text

_MAX_SCANS = 20
"""Most midpoint scans of the polish."""

Summary = dict[str, float]
OnGeneration = Callable[[Mapping[str, float]], None]


class Iemmc:
    """Clusters beats by their features alone, without their labels.

    Choose it to group unlabeled beats by the widest margin. The objective has no gradient in the
    labels, so an immune evolution searches them; a midpoint scan improves each antibody.
    """

    def __init__(self, options: IemmcOptions) -> None:
        self.options = options

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the labeling with the smallest objective found.

        It evaluates nothing through ``ctx``, so only a budget of seconds limits it. A stopped
        search continues from the last generation in ``ctx.checkpoint``.

        Raises:
            OptionError: The beats cannot be clustered: too few beats, unusable features, or a
                balance bound that no labeling keeps.
        """
        return search_labeling(
            "iemmc", task, space, ctx,
            lambda points, _, checkpoint: self._cluster(points, ctx, checkpoint),
        )  # fmt: skip

    def _cluster(
        self, points: ClusteringTask, ctx: SearchContext, checkpoint: Checkpoint
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return the cluster of every point, uint8 [n], and details."""
        kernel, width = kernel_and_width(points.x, self.options, ctx.rng)
        lam = 1 / (2 * self.options.C)
        # Opened after the kernel, which a continued search draws again.
        state = ClusteringCheckpoint(checkpoint, ctx.rng, points.deadline)
        cluster = self._direct if self.options.method == "direct" else self._by_bisection
        codes, details = cluster(points, kernel, lam, ctx, state)
        return codes, {"kernel_width": width, **details}

    def _by_bisection(
        self, points: ClusteringTask, kernel: Kernel, lam: float, ctx: SearchContext,
        checkpoint: ClusteringCheckpoint,
    ) -> tuple[NDArray[Any], dict[str, Any]]:  # fmt: skip
        """Return the clusters made by one split after another, uint8 [n], and details."""
        min_side = points.min_side(self.options.balance)
        max_splits = 2 * points.clusters - 3
        curves: list[list[float]] = []

        def split(index: Index, number: int) -> Split:
            if number == len(checkpoint.splits):
                checkpoint.begin_split()
                x, side = points.x[index], min_side(len(index))
                from_k_means = self.options.start == "k-means"
                log = _logger(ctx, split=number)
                if points.record is not None:
                    log = _collector(curves)
                checkpoint.finish_split(*split_cluster(
                    kernel, index, side, lam, self.options, ctx.rng,
                    initial=[two_means(x, side, ctx.rng)] if from_k_means else [],
                    run=lambda evolution, initial: checkpoint.evolve(evolution, initial, log),
                ))  # fmt: skip
            finished, _ = checkpoint.splits[number]
            bar.advance(objective=finished.objective / len(index))
            return finished

        with ctx.progress.track("Splitting clusters", max_splits) as bar:
            bisection = bisect(len(points.x), points.clusters, min_side, split)
            bar.advance(max_splits - len(checkpoint.splits))
        evolutions = [summary for _, summary in checkpoint.splits]
        details = {"splits": bisection.summary(), "evolutions": evolutions}
        return bisection.codes, details if points.record is None else {
            **details,
            "curves": _until_best(curves),
        }

    def _direct(
        self, points: ClusteringTask, kernel: Kernel, lam: float, ctx: SearchContext,
        checkpoint: ClusteringCheckpoint,
    ) -> tuple[NDArray[Any], dict[str, Any]]:  # fmt: skip
        """Return all clusters made at once, uint8 [n], and details."""
        options, clusters = self.options, points.clusters
        margin = kernel.margin(np.arange(len(points.x)), lam)
        min_size = points.min_cluster(options.balance)
        problem = KWay(margin.astype(options.precision), clusters, min_size, options.newcomers)
        evolution = ImmuneEvolution(problem, options, ctx.rng)
        checkpoint.begin_split()
        initial = []
        if options.start == "k-means":
            initial = [problem.repair(k_means(points.x, clusters, ctx.rng), ctx.rng)]
        curves: list[list[float]] = []
        log = _logger(ctx, split=0) if points.record is None else _collector(curves)
        with ctx.progress.track("Evolving labels", options.generations) as bar:

            def on_generation(row: Mapping[str, float]) -> None:
                log(row)
                bar.advance(objective=1 - row["memory_best"])

            checkpoint.evolve(evolution, initial, on_generation)
            bar.advance(options.generations - evolution.generation)
        exact = KWay(margin, clusters, min_size)
        codes = evolution.best.genotype[None]
        objective = exact.objective(codes)
        if options.polish:
            codes, objective = _repeat_scans(exact, codes, objective)
        per_beat = float(objective[0]) / (clusters * len(points.x))
        details = {"objective": per_beat, "evolutions": [evolution_summary(evolution)]}
        return codes[0], details if points.record is None else {
            **details,
            "curves": _until_best(curves),
        }


def _logger(ctx: SearchContext, split: int) -> OnGeneration:
    """Return a function that logs a generation of the evolution of a split."""

    def log(row: Mapping[str, float]) -> None:
        ctx.log(
            row["memory_best"],
            split=split,
            generation=row["generation"],
            objective=1 - row["memory_best"],
            mean=row["mean"],
            diversity=row["diversity"],
            antibodies=row["evaluations"],
        )

    return log


def _collector(curves: list[list[float]]) -> OnGeneration:
    """Return a function that adds the objective of each generation to a new list in ``curves``.

    It takes the place of the log where every record has an evolution of its own.
    """
    own: list[float] = []
    curves.append(own)
    return lambda row: own.append(round(1 - row["memory_best"], 6))


def _until_best(curves: list[list[float]]) -> list[list[float]]:
    """Return the objectives by generation, without those after the best one."""
    return [own[: own.index(min(own)) + 1] for own in curves]


Run = Callable[[ImmuneEvolution[Any], Sequence[Int8s]], None]


def run_from_start(evolution: ImmuneEvolution[Any], initial: Sequence[Int8s]) -> None:
    """Run an evolution from the genotypes ``initial`` until its options end it."""
    evolution.start(initial)
    evolution.run()


def split_cluster(
    kernel: Kernel, index: Index, min_size: int, lam: float, options: IemmcOptions,
    rng: np.random.Generator, *, initial: Sequence[Int8s] = (), run: Run = run_from_start,
) -> tuple[Split, Summary]:  # fmt: skip
    """Return the best split found of the points at ``index``, and a summary of the evolution.

    If there are more than ``options.evolve_beats`` points, the labels of a random subset of that
    size are evolved, and the functions fitted on it label the others.

    Args:
        kernel: Kernel of all points.
        index: int64 [n], the points of the cluster.
        min_size: Fewest points on either side.
        lam: λ.
        options: Options of the evolution, its precision and its polish.
        rng: The generator of every random choice.
        initial: Labels, int8 [n], to start from besides random ones.
        run: Runs the evolution from the initial labels.
    """
    margin = kernel.margin(index, lam)
    n, n_evolved = len(index), max(options.evolve_beats, 2)
    if n <= n_evolved:
        memory, summary = evolve(margin, min_size, options, rng, initial, run)
    else:
        some = random_subset(n, n_evolved, rng)
        share = math.ceil(min_size * n_evolved / n)
        min_size_of_some = min(max(1, share), n_evolved // 2)  # a bound that an odd number allows
        part = TwoWay(kernel.margin(index[some], lam), min_size_of_some)
        starts = [part.repair(y[some], rng) for y in initial]
        evolved, summary = evolve(part.margin, min_size_of_some, options, rng, starts, run)
        whole = TwoWay(margin, min_size)
        fallback = np.stack([whole.random(rng) for _ in evolved])
        values = kernel.carry_over(index[some], evolved, index, lam)
        memory = midpoint_scan(fallback, values, min_size)
    if options.polish:
        memory = polish(margin, memory, min_size, single_flips=n <= options.exact_up_to)
    objective = margin.objective(memory)
    best = int(objective.argmin())
    return Split(memory[best], float(objective[best])), summary


def evolve(
    margin: Margin, min_size: int, options: IemmcOptions, rng: np.random.Generator,
    initial: Sequence[Int8s] = (), run: Run = run_from_start,
) -> tuple[Int8s, Summary]:  # fmt: skip
    """Return the labels in memory after an evolution, int8 [P, n], best first, and a summary."""
    problem = TwoWay(margin.astype(options.precision), min_size, options.flips, options.newcomers)
    evolution = ImmuneEvolution(problem, options, rng)
    run(evolution, initial)
    labels = np.stack([antibody.genotype for antibody in evolution.memory])
    return labels, evolution_summary(evolution)


def evolution_summary(evolution: ImmuneEvolution[Any]) -> Summary:
    """Return the length of an evolution as JSON data."""
    best = [row["memory_best"] for row in evolution.logbook]
    return {
        "generations": evolution.generation,
        "antibodies": evolution.evaluations,
        "generation_of_best": best.index(best[-1]) + 1,
    }


def polish(margin: Margin, labels: Int8s, min_size: int, *, single_flips: bool) -> Int8s:
    """Return labels, int8 [P, n], after midpoint scans and single flips until none helps.

    No row gets worse; with ``single_flips``, equal rows are merged.
    """
    problem = TwoWay(margin, min_size)
    labels, _ = _repeat_scans(problem, labels, margin.objective(labels))
    if not single_flips:
        return labels
    return single_flip_descent(margin, np.unique(labels * labels[:, :1], axis=0), min_size)[0]


def _repeat_scans(
    problem: TwoWay | KWay, labels: NDArray[Any], objective: Floats
) -> tuple[NDArray[Any], Floats]:
    """Improve labels [P, n] with objectives [P] until no row improves; return both."""
    for _ in range(_MAX_SCANS):
        before = objective
        labels, objective = problem.improve(labels)
        if not (objective < before).any():
            break
    return labels, objective


class ClusteringCheckpoint:
    """The finished splits of a clustering and the state of the evolution that runs.

    Random choices before an evolution, such as its initial labels, are repeated from the state that
    the generator had when the split began; the evolution itself is restored.

    Args:
        checkpoint: Where the state is saved.
        rng: The generator of every random choice.
        deadline: Monotonic clock time at which the search should end. A continued search has the
            seconds that were left when the state was saved.

    Attributes:
        splits: Finished splits in order, each with the summary of its evolution.
        deadline: Monotonic clock time at which the search should end.
    """

    def __init__(self, checkpoint: Checkpoint, rng: np.random.Generator, deadline: float) -> None:
        self.deadline = deadline
        self.splits: list[tuple[Split, Summary]] = []
        self._checkpoint, self._rng = checkpoint, rng
        self._rng_at_begin: Any = None
        self._saved_evolution: Mapping[str, Any] | None = None
        if (saved := checkpoint.load()) is not None:
            self.splits = [_load_split(data) for data in saved["splits"]]
            self._rng_at_begin = saved["rng_at_begin"]
            self._saved_evolution = saved["evolution"]
            if saved["seconds_left"] is not None:
                self.deadline = monotonic() + saved["seconds_left"]

    def begin_split(self) -> None:
        """Remember the generator's state, or restore it if this split was interrupted."""
        if self._saved_evolution is None:
            self._rng_at_begin = self._rng.bit_generator.state
        else:
            self._rng.bit_generator.state = self._rng_at_begin

    def evolve(
        self,
        evolution: ImmuneEvolution[Any],
        initial: Sequence[Any],
        on_generation: OnGeneration,
    ) -> None:
        """Run an evolution from the genotypes ``initial``, or continue the one that was saved."""
        if self._saved_evolution is None:
            evolution.start(initial)
        else:
            evolution.restore(self._saved_evolution)
            self._saved_evolution = None

        def save(row: Mapping[str, float]) -> None:
            on_generation(row)
            if self._checkpoint.due():
                self._checkpoint.save(self._state(evolution))

        evolution.run(deadline=self.deadline, on_generation=save)

    def finish_split(self, split: Split, summary: Summary) -> None:
        """Add a finished split."""
        self.splits.append((split, summary))

    def _state(self, evolution: ImmuneEvolution[Any]) -> dict[str, Any]:
        left = self.deadline - monotonic()
        return {
            "splits": [_dump_split(split, summary) for split, summary in self.splits],
            "rng_at_begin": self._rng_at_begin,
            "evolution": evolution.state(),
            "seconds_left": left if math.isfinite(left) else None,
        }


def _dump_split(split: Split, summary: Summary) -> dict[str, Any]:
    return {
        "points": len(split.labels),
        "labels": labels_to_text(split.labels),
        "objective": split.objective,
        "summary": summary,
    }


def _load_split(data: Mapping[str, Any]) -> tuple[Split, Summary]:
    labels = labels_from_text(data["labels"], data["points"])
    return Split(labels, data["objective"]), dict(data["summary"])
