"""One method against another: paired tests over seeds, and the improvement over chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from nasbench_ecg.report.statistics import (
    FEWEST_FOR_INTERVAL,
    RESAMPLES,
    percentile_interval,
    resampled_means,
)

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Comparison:
    """Two methods on the seeds that both were run with.

    Attributes:
        first: Index of the one method.
        second: Index of the other.
        n: Number of paired seeds.
        difference: Mean of first minus second, as a fraction.
        p: Two-sided p-value of the paired permutation test.
        p_adjusted: The same, corrected for all comparisons made together (Holm).
    """

    first: int
    second: int
    n: int
    difference: float
    p: float
    p_adjusted: float


@dataclass(frozen=True)
class Improvement:
    """How much better than random architectures a method is.

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


def compare_all(values: Sequence[Sequence[float]]) -> list[Comparison]:
    """Test every pair of methods.

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

    It takes two pairs or more, is exact up to 13, and n pairs can give no less than 2 / 2ⁿ.

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


def fewest_pairs_to_tell() -> int:
    """Return the number of pairs with which one paired test can reach the 5% level at all."""
    n = 1
    while 2 / 2**n > SIGNIFICANCE:
        n += 1
    return n


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the same order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def improvement(values: Sequence[float], random: Sequence[float]) -> Improvement:
    """Return the relative improvement over random architectures that were trained alike.

    The two samples are resampled independently. With few seeds the interval is narrower than its
    name says.

    References:
        Yang, Esperança, Carlucci 2020, "NAS evaluation is frustratingly hard", ICLR, section 3.
    """
    interval = None
    if min(len(values), len(random)) >= FEWEST_FOR_INTERVAL:
        ratios = resampled_means(values) / resampled_means(random, seed=1)
        interval = percentile_interval(ratios - 1)
    return Improvement(fmean(values) / fmean(random) - 1, interval, len(values), len(random))
