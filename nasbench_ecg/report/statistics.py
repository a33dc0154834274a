"""Statistics of scores over seeds and datasets.

Summaries with bootstrap intervals, paired tests, improvement over a random baseline, intervals of
ranks, and critical differences over several datasets. Scores are fractions, larger is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
RESAMPLES = 9999
MIN_SEEDS_FOR_INTERVAL = 3
MIN_METHODS = 3
MIN_DATASETS = 2

# Summary of one score


@dataclass(frozen=True)
class Summary:
    """A score over seeds, as a fraction; None where there are too few seeds.

    Attributes:
        n: Number of seeds.
        mean: Arithmetic mean.
        sd: Sample standard deviation; needs two seeds.
        best: Largest value.
        worst: Smallest value.
        interval: Lower and upper end of a 95% bootstrap interval of the mean; needs three seeds.
    """

    n: int
    mean: float
    sd: float | None
    best: float
    worst: float
    interval: tuple[float, float] | None


def summarize(values: Sequence[float]) -> Summary:
    """Return the summary of one score over one seed or more; their order does not matter."""
    ordered = sorted(values)
    return Summary(
        n=len(ordered),
        mean=fmean(ordered),
        sd=stdev(ordered) if len(ordered) > 1 else None,
        best=ordered[-1],
        worst=ordered[0],
        interval=bootstrap_interval(ordered),
    )


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of the mean, None with fewer than three values.

    With few values it covers less than 95%: with three it cannot exceed their range.

    References:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.
    """
    if len(values) < MIN_SEEDS_FOR_INTERVAL:
        return None
    return percentile_interval(resampled_means(values))


def resampled_means(values: Sequence[float], seed: int = 0) -> NDArray[np.float64]:
    """Return the means of bootstrap samples of ``values``, float64 [9999]."""
    import numpy as np

    drawn = np.asarray(sorted(values), dtype=np.float64)[_draws(len(values), seed)]
    means: NDArray[np.float64] = drawn.mean(axis=1).round(12)
    return means


@cache
def _draws(n: int, seed: int) -> NDArray[np.int64]:
    import numpy as np

    return np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))


def percentile_interval(statistics: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of the central 95% of resampled statistics."""
    import numpy as np

    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(statistics, [tail, 1 - tail])
    return float(low), float(high)


# Paired tests


@dataclass(frozen=True)
class Comparison:
    """A paired test of two methods on the same seeds.

    Attributes:
        first: Index of the first method.
        second: Index of the second method.
        n: Number of paired seeds.
        difference: Mean of first minus second, as a fraction.
        p: Two-sided p-value of the paired permutation test.
        p_adjusted: The p-value corrected for all comparisons made together (Holm).
    """

    first: int
    second: int
    n: int
    difference: float
    p: float
    p_adjusted: float


def compare_all(values: Sequence[Sequence[float]]) -> list[Comparison]:
    """Return a paired test of every pair of methods.

    Args:
        values: [n_methods][n_seeds], at least two seeds; column s holds the scores of seed s.

    References:
        Holm 1979, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6(2).
    """
    pairs = list(combinations(range(len(values)), 2))
    p_values = [paired_p_value(values[i], values[j]) for i, j in pairs]
    return [
        Comparison(i, j, len(values[i]), fmean(values[i]) - fmean(values[j]), p, adjusted)
        for (i, j), p, adjusted in zip(pairs, p_values, holm(p_values), strict=True)
    ]


def paired_p_value(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p-value of equal means, by flipping the signs of paired differences.

    It needs at least two pairs and is exact for up to 13. With n pairs, the smallest possible
    p-value is 2 / 2ⁿ.

    References:
        Fisher 1935, "The Design of Experiments", section 21.
    """
    import numpy as np
    from scipy.stats import permutation_test

    differences = (np.asarray(first, dtype=np.float64) - np.asarray(second)).round(12)
    if not differences.any():
        return 1.0
    tested = permutation_test(
        (differences,),
        lambda d, axis: d.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        random_state=np.random.default_rng(0),
    )
    return float(tested.pvalue)


def min_pairs_for_significance() -> int:
    """Return the smallest number of pairs with which a paired test can reach the 5% level."""
    n = 1
    while 2 / 2**n > SIGNIFICANCE:
        n += 1
    return n


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values with Holm's correction, in the same order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = largest
    return adjusted


# Improvement over a random baseline


@dataclass(frozen=True)
class Improvement:
    """How much better a method is than random architectures.

    Attributes:
        relative: (mean − mean of random) / mean of random.
        interval: 95% bootstrap interval of ``relative``; None with fewer than three seeds of each.
        n: Number of seeds of the method.
        n_random: Number of random architectures.
    """

    relative: float
    interval: tuple[float, float] | None
    n: int
    n_random: int


def improvement(values: Sequence[float], random: Sequence[float]) -> Improvement:
    """Return the relative improvement over random architectures with the same training recipe.

    The two samples are resampled independently. With few seeds the interval covers less than 95%.

    References:
        Yang, Esperança, Carlucci 2020, "NAS evaluation is frustratingly hard", ICLR, section 3.
    """
    interval = None
    if min(len(values), len(random)) >= MIN_SEEDS_FOR_INTERVAL:
        ratios = resampled_means(values) / resampled_means(random, seed=1)
        interval = percentile_interval(ratios - 1)
    return Improvement(fmean(values) / fmean(random) - 1, interval, len(values), len(random))


# Ranks


def rank_intervals(values: Sequence[Sequence[float]]) -> list[tuple[int, int]] | None:
    """Return, for each method, a 95% bootstrap interval of its rank by mean, 1 the best.

    Each bootstrap sample draws the same seeds for all methods.

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
    if len(scores) < 2 or scores.shape[1] < MIN_SEEDS_FOR_INTERVAL:
        return None
    n_seeds = scores.shape[1]
    drawn = np.random.default_rng(0).integers(n_seeds, size=(RESAMPLES, n_seeds))
    means = scores[:, drawn].mean(axis=2).round(12)
    ranks = 1 + (means[None, :, :] > means[:, None, :]).sum(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low = np.quantile(ranks, tail, axis=1, method="inverted_cdf")
    high = np.quantile(ranks, 1 - tail, axis=1, method="inverted_cdf")
    return [(int(a), int(b)) for a, b in zip(low, high, strict=True)]


# Several datasets


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
        None with fewer than three methods or two datasets, which the tests need.

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
