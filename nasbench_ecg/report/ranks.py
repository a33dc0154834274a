"""How sure an order of methods is: intervals of ranks, and critical differences over datasets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from nasbench_ecg.report.statistics import CONFIDENCE, FEWEST_FOR_INTERVAL, RESAMPLES

SIGNIFICANCE = 0.05
FEWEST_METHODS = 3
FEWEST_DATASETS = 2


def rank_intervals(values: Sequence[Sequence[float]]) -> list[tuple[int, int]] | None:
    """Return, for each method, a 95% bootstrap interval of its rank by mean, 1 the best.

    Seeds are drawn with replacement and the same ones for all methods, as they were run.

    Args:
        values: [n_methods][n_seeds], larger is better; column s holds the scores of seed s.

    Returns:
        None with fewer than two methods or three seeds.

    References:
        Hall and Miller 2009, "Using the bootstrap to quantify the authority of an empirical
        ranking", Annals of Statistics 37(6B).
    """
    import numpy as np

    scores = np.asarray(values, dtype=np.float64)
    if len(scores) < 2 or scores.shape[1] < FEWEST_FOR_INTERVAL:
        return None
    n_seeds = scores.shape[1]
    drawn = np.random.default_rng(0).integers(n_seeds, size=(RESAMPLES, n_seeds))
    means = scores[:, drawn].mean(axis=2).round(12)
    ranks = 1 + (means[None, :, :] > means[:, None, :]).sum(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low = np.quantile(ranks, tail, axis=1, method="inverted_cdf")
    high = np.quantile(ranks, 1 - tail, axis=1, method="inverted_cdf")
    return [(int(a), int(b)) for a, b in zip(low, high, strict=True)]


@dataclass(frozen=True)
class CriticalDifference:
    """Average ranks of methods over datasets, and how far apart they must lie to differ.

    Attributes:
        methods: Names of the methods, best average rank first.
        ranks: Their average ranks; equal scores share the mean of their ranks.
        datasets: Names of the datasets.
        difference: Nemenyi's critical difference of two average ranks at the 5% level.
        p: p-value of Friedman's test that all methods are equal.
        groups: Longest runs of ``methods``, as first and last index, that do not differ.
        left_out: Methods without a rank on some of the datasets, and which those are.
    """

    methods: tuple[str, ...]
    ranks: tuple[float, ...]
    datasets: tuple[str, ...]
    difference: float
    p: float
    groups: tuple[tuple[int, int], ...]
    left_out: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def left_out_text(self) -> str:
        """Return a sentence on the methods left out; empty where there are none."""
        if not self.left_out:
            return ""
        parts = [f"{method} (not on {', '.join(lacking)})" for method, lacking in self.left_out]
        return f"Left out, without a rank somewhere: {'; '.join(parts)}."


def critical_difference(
    scores: Sequence[Sequence[float]], methods: Sequence[str], datasets: Sequence[str]
) -> CriticalDifference | None:
    """Compare methods over several datasets.

    Args:
        scores: [n_datasets][n_methods], larger is better.
        methods: Names of the methods.
        datasets: Names of the datasets.

    Returns:
        None with fewer than three methods or two datasets, where the tests say nothing.

    References:
        Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7,
        section 3.2.
    """
    if len(methods) < FEWEST_METHODS or len(datasets) < FEWEST_DATASETS:
        return None
    import numpy as np
    from scipy.stats import friedmanchisquare, rankdata

    table = np.asarray(scores, dtype=np.float64)
    averages = rankdata(-table, axis=1).mean(axis=0)
    order = sorted(range(len(methods)), key=lambda i: (averages[i], methods[i]))
    ranks = tuple(float(averages[i]) for i in order)
    difference = nemenyi(len(methods), len(datasets))
    with np.errstate(invalid="ignore"):
        p = float(friedmanchisquare(*table.T).pvalue)
    return CriticalDifference(
        methods=tuple(methods[i] for i in order),
        ranks=ranks,
        datasets=tuple(datasets),
        difference=difference,
        p=1.0 if np.isnan(p) else p,
        groups=_groups(ranks, difference),
    )


def nemenyi(n_methods: int, n_datasets: int) -> float:
    """Return the critical difference of two average ranks, q₀.₀₅ √(k (k + 1) / 6N)."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - SIGNIFICANCE, n_methods, float("inf"))) / sqrt(2)
    return q * sqrt(n_methods * (n_methods + 1) / (6 * n_datasets))


def _groups(ranks: Sequence[float], difference: float) -> tuple[tuple[int, int], ...]:
    groups: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = max(i for i in range(first, len(ranks)) if ranks[i] - ranks[first] <= difference)
        if last > first and not (groups and groups[-1][1] >= last):
            groups.append((first, last))
    return tuple(groups)
