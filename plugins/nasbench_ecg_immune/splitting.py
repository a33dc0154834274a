"""One cluster split in two by immune evolution: evolve, carry over to all its points, polish."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nasbench_ecg_immune.bisection import Index, Split
from nasbench_ecg_immune.descent import descend
from nasbench_ecg_immune.evolution import ImmuneEvolution
from nasbench_ecg_immune.kernels import Kernel
from nasbench_ecg_immune.margin import Margin
from nasbench_ecg_immune.options import IemmcOptions
from nasbench_ecg_immune.scan import Int8s, relabel
from nasbench_ecg_immune.two_way import TwoWay

_ROUNDS = 20
"""Most midpoint scans of the polish."""

Run = Callable[[ImmuneEvolution[Any], Sequence[Int8s]], None]


def from_the_start(evolution: ImmuneEvolution[Any], given: Sequence[Int8s]) -> None:
    """Run an evolution from the genotypes ``given`` until its options end it."""
    evolution.start(given)
    evolution.run()


def split_cluster(
    kernel: Kernel, index: Index, smallest: int, lam: float, options: IemmcOptions,
    rng: np.random.Generator, *, given: Sequence[Int8s] = (), run: Run = from_the_start,
) -> tuple[Split, dict[str, float]]:  # fmt: skip
    """Return the best split found of the points at ``index``, and figures of the evolution.

    Of more points than ``options.evolve_beats``, as many are drawn and evolved; the functions
    fitted on them label the others.

    Args:
        kernel: Kernel of all points.
        index: int64 [n], the points of the cluster.
        smallest: Fewest points on either side.
        lam: λ.
        options: Of the evolution, its precision and polish.
        rng: Generator of all that is random.
        given: Labels, int8 [n], to start from, besides random ones.
        run: Runs the evolution from the labels given.
    """
    margin = kernel.margin(index, lam)
    n, most = len(index), max(options.evolve_beats, 2)
    if n <= most:
        memory, figures = evolve(margin, smallest, options, rng, given, run)
    else:
        some = np.sort(rng.choice(n, most, replace=False))
        part = TwoWay(kernel.margin(index[some], lam), max(1, math.ceil(smallest * most / n)))
        starts = [part.repair(y[some], rng) for y in given]
        chosen, figures = evolve(part.margin, part.smallest, options, rng, starts, run)
        whole = TwoWay(margin, smallest)
        otherwise = np.stack([whole.random(rng) for _ in chosen])
        values = kernel.carry_over(index[some], chosen, index, lam)
        memory = relabel(otherwise, values, smallest)
    if options.polish:
        by_single_flips = n <= options.exact_up_to
        memory = polish(margin, memory, smallest, by_single_flips=by_single_flips)
    objective = margin.objective(memory)
    best = int(objective.argmin())
    return Split(memory[best], float(objective[best])), figures


def evolve(
    margin: Margin, smallest: int, options: IemmcOptions, rng: np.random.Generator,
    given: Sequence[Int8s] = (), run: Run = from_the_start,
) -> tuple[Int8s, dict[str, float]]:  # fmt: skip
    """Return the labels in memory after an evolution, int8 [P, n], best first, and its figures."""
    problem = TwoWay(margin.astype(options.precision), smallest, options.flips, options.newcomers)
    evolution = ImmuneEvolution(problem, options, rng)
    run(evolution, given)
    return np.stack([one.genotype for one in evolution.memory]), figures_of(evolution)


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


def figures_of(evolution: ImmuneEvolution[Any]) -> dict[str, float]:
    """Return how long an evolution was, as JSON data."""
    best = [row["memory_best"] for row in evolution.logbook]
    return {
        "generations": evolution.generation,
        "antibodies": evolution.evaluations,
        "generation_of_best": best.index(best[-1]) + 1,
    }
