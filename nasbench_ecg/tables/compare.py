"""Searches compared over many simulated repetitions: regret, and what is better than random search.

References:
    Holm 1979, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6.
    Vargha, Delaney 2000, "A critique and improvement of the CL common language effect size
    statistics", J. Educ. Behav. Stat. 25(2): the probability of superiority A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, t

from nasbench_ecg.tables.simulate import METRIC, Simulation, best_so_far
from nasbench_ecg.tables.table import Table

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """One search at one budget, and its difference from the baseline.

    Attributes:
        label: The search.
        evaluations: The budget.
        regret: Quartiles (25%, 50%, 75%) of the best member's test score minus the found member's,
            over repetitions, as fractions. Test scores are means over seeds.
        mean: Mean test score of the found member.
        difference: Mean difference from the baseline, and the ends of its interval: Welch's, at a
            level that Bonferroni's correction over all comparisons of the table makes simultaneous.
            None for the baseline itself.
        p: p of the two-sided Mann-Whitney test against the baseline, corrected by Holm over all
            comparisons of the table.
        superiority: Probability that a repetition is better than one of the baseline, ties half.
    """

    label: str
    evaluations: int
    regret: tuple[float, float, float]
    mean: float
    difference: tuple[float, float, float] | None = None
    p: float | None = None
    superiority: float | None = None

    @property
    def better(self) -> bool:
        """Whether interval and test both say that it is better than the baseline."""
        return (
            self.difference is not None
            and self.p is not None
            and self.difference[1] > 0
            and self.p < 1 - CONFIDENCE
        )


def compare(
    table: Table, simulations: Mapping[str, Simulation], baseline: str, budgets: Sequence[int]
) -> list[Comparison]:
    """Compare searches with a baseline at several budgets.

    Args:
        table: The table that they were simulated on.
        simulations: The searches by label.
        baseline: Label of the baseline, random search.
        budgets: Numbers of evaluations.

    Returns:
        One comparison for each search and budget, in the order given.
    """
    best = float(np.nanmax(table.mean_test_scores(METRIC)))
    curves = {
        label: best_so_far(simulation, table, max(budgets))
        for label, simulation in simulations.items()
    }
    n = max(1, (len(simulations) - 1) * len(budgets))
    rows: list[Comparison] = []
    tested: list[tuple[int, float]] = []
    for budget in budgets:
        base = curves[baseline][:, budget - 1]
        for label, curve in curves.items():
            found = curve[:, budget - 1]
            quartiles = np.quantile(best - found, [0.25, 0.5, 0.75])
            row = Comparison(
                label,
                budget,
                (float(quartiles[0]), float(quartiles[1]), float(quartiles[2])),
                float(found.mean()),
            )
            if label != baseline:
                p, superiority = _mann_whitney(found, base)
                tested.append((len(rows), p))
                row = replace(row, difference=welch(found, base, n), p=p, superiority=superiority)
            rows.append(row)
    for index, p in holm(tested).items():
        rows[index] = replace(rows[index], p=p)
    return rows


def welch(
    a: NDArray[np.float64], b: NDArray[np.float64], comparisons: int
) -> tuple[float, float, float]:
    """Return the mean difference a − b and its Welch interval, simultaneous over comparisons."""
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    difference = float(a.mean() - b.mean())
    if va + vb == 0:
        return difference, difference, difference
    degrees = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    quantile = t.ppf(1 - (1 - CONFIDENCE) / (2 * comparisons), degrees)
    half = float(quantile * np.sqrt(va + vb))
    return difference, difference - half, difference + half


def holm(tests: Sequence[tuple[int, float]]) -> dict[int, float]:
    """Return Holm's adjusted p by index."""
    adjusted: dict[int, float] = {}
    largest = 0.0
    for rank, (index, p) in enumerate(sorted(tests, key=lambda test: test[1])):
        largest = max(largest, min(1.0, (len(tests) - rank) * p))
        adjusted[index] = largest
    return adjusted


def _mann_whitney(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float]:
    if np.array_equal(np.unique(a), np.unique(b)) and len(np.unique(a)) == 1:
        return 1.0, 0.5
    result = mannwhitneyu(a, b, alternative="two-sided", method="asymptotic")
    return float(result.pvalue), float(result.statistic) / (len(a) * len(b))
