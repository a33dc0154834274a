"""Searches compared over many simulated repetitions: regret, and what is better than random search.

References:
    Vargha, Delaney 2000, "A critique and improvement of the CL common language effect size
    statistics", J. Educ. Behav. Stat. 25(2): the probability of superiority A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from nasbench_ecg.statistics import SIGNIFICANCE, holm, welch_interval
from nasbench_ecg.tables.simulate import METRIC, Simulation, best_so_far
from nasbench_ecg.tables.table import Table


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
            and self.p < SIGNIFICANCE
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
                ends = welch_interval(found, base, comparisons=n)
                gain = float(found.mean() - base.mean())
                row = replace(row, difference=(gain, *ends), p=p, superiority=superiority)
            rows.append(row)
    adjusted = holm([p for _, p in tested])
    for (index, _), p in zip(tested, adjusted, strict=True):
        rows[index] = replace(rows[index], p=p)
    return rows


def _mann_whitney(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float]:
    if np.array_equal(np.unique(a), np.unique(b)) and len(np.unique(a)) == 1:
        return 1.0, 0.5
    result = mannwhitneyu(a, b, alternative="two-sided", method="asymptotic")
    return float(result.pvalue), float(result.statistic) / (len(a) * len(b))
