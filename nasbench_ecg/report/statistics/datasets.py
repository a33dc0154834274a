"""Comparison of methods over several datasets by their average ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from nasbench_ecg.statistics import SIGNIFICANCE

MIN_METHODS = 3
MIN_DATASETS = 5
"""Fewest data sets, without a common person, for a comparison over data sets."""


@dataclass(frozen=True)
class CriticalDifference:
    """Average ranks of methods over datasets, and the difference that is significant.

    Attributes:
        methods: Names of the methods, best average rank first.
        ranks: Their average ranks; equal scores share the mean of their ranks.
        datasets: Names of the datasets.
        difference: Nemenyi's critical difference of two average ranks at the 5% level.
        p: p-value of Friedman's test that all methods are equal.
        groups: Longest ranges of ``methods`` without a significant difference, as first and last
            index.
        left_out: Methods that were not ranked on every dataset, with the datasets they lack.
    """

    methods: tuple[str, ...]
    ranks: tuple[float, ...]
    datasets: tuple[str, ...]
    difference: float
    p: float
    groups: tuple[tuple[int, int], ...]
    left_out: tuple[tuple[str, tuple[str, ...]], ...] = ()


def critical_difference(
    scores: Sequence[Sequence[float]], methods: Sequence[str], datasets: Sequence[str]
) -> CriticalDifference | None:
    """Return the comparison of methods over several datasets by their average ranks.

    Args:
        scores: [n_datasets][n_methods], larger is better.
        methods: Names of the methods.
        datasets: Names of the datasets.

    Returns:
        None with fewer than three methods or five datasets: with few datasets, hardly any
        difference of ranks can be significant.

    References:
        Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7,
        section 3.2.
    """
    if len(methods) < MIN_METHODS or len(datasets) < MIN_DATASETS:
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
    """Return Nemenyi's critical difference of two average ranks, q₀.₀₅ √(k (k + 1) / 6N).

    k is ``n_methods``, N is ``n_datasets``.
    """
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
