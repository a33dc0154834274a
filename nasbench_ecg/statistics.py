"""Intervals of means and permutation tests for few runs, with the coverage that they reach.

Coverage of the 95% interval of a mean, in percent, over 4,000 simulated samples of n values each
(``tests/test_intervals.py`` measures it again):

================================  =====  ======  ======  ======
distribution (skewness)           n = 5  n = 10  n = 20  n = 50
================================  =====  ======  ======  ======
normal (0)                         94.3    94.5    95.2    94.5
gamma of shape 4 (1)               93.9    94.7    94.8    94.5
exponential (2)                    91.2    93.5    94.0    95.0
================================  =====  ======  ======  ======

Neither Student's t nor BCa reaches this: of the exponential, Student's t covers 88.0, 89.7, 92.5
and 93.1%; of the normal, BCa covers 85.3% with five values. No method that was tried covers 93% of
the exponential with five values. On normal values the interval of five is 1.2 times as wide as
Student's in the median, and less than 1.8 times as wide always.

References:
    Hall 1992, "The Bootstrap and Edgeworth Expansion", chapter 3: the studentized bootstrap.
    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 12.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
MIN_VALUES_FOR_INTERVAL = 5
"""Fewest values for which an interval is computed."""

RESAMPLES = 9999
"""Bootstrap samples; five values have 3,125, which are all used."""

MOST_EXACT_PAIRS = 40
"""A paired test of more pairs draws signs at random, instead of counting all."""

FIRST_PERMUTATIONS = 20_000
"""Signs that are drawn first; only where their p-value is below 0.005 are more worth it."""

PERMUTATIONS = 1_000_000
_SMALL = 0.005

SMALLEST_SPREAD = 0.3
"""Smallest standard deviation of a bootstrap sample, in that of the values. Without a bound,
samples of nearly equal values put the ends of an interval anywhere: of five normal values, one in a
hundred would have more than six times the width of Student's interval."""

# Intervals of means


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95% interval of the mean by the studentized bootstrap.

    Returns:
        None with fewer than five values, or if all are equal.
    """
    if len(values) < MIN_VALUES_FOR_INTERVAL or min(values) == max(values):
        return None
    low, high = mean_intervals(sorted(values)).tolist()
    return low, high


def mean_intervals(samples: ArrayLike, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """Return the 95% interval of the mean of each sample, [..., 2].

    The distribution of (mean − true mean) / standard error is that of bootstrap samples, whose
    standard deviation counts as :data:`SMALLEST_SPREAD` of that of the values at least.

    Args:
        samples: [..., n], n at least 2.
        resamples: Number of bootstrap samples.
    """
    import numpy as np

    values = np.asarray(samples, dtype=np.float64)
    n = values.shape[-1]
    mean = values.mean(axis=-1, keepdims=True)
    deviations = values - mean
    spread = sqrt(n / (n - 1)) * np.sqrt((deviations**2).mean(axis=-1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = deviations / spread
        shares = _shares(n, resamples)
        means = (scaled @ shares.T).round(9)
        variances = (scaled**2 @ shares.T - means**2).round(9).clip(min=0) * n / (n - 1)
        t = means / np.sqrt(variances).clip(min=SMALLEST_SPREAD)
        t = np.sort(t, axis=-1)
        tail = (1 - CONFIDENCE) / 2
        below = max(0, int(np.ceil(tail * t.shape[-1])) - 1)
        ends = np.stack([t[..., -1 - below], t[..., below]], axis=-1)
        intervals: NDArray[np.float64] = mean - ends * spread
    return np.where(spread > 0, intervals, np.inf)


@cache
def _shares(n: int, resamples: int) -> NDArray[np.float64]:
    """Return the share of each value in bootstrap samples, [n_resamples, n].

    All samples if there are no more than ``resamples``; otherwise drawn ones.
    """
    import numpy as np

    if n**n <= resamples:
        drawn = np.stack(np.unravel_index(np.arange(n**n), (n,) * n), axis=1)
    else:
        drawn = np.random.default_rng(0).integers(n, size=(resamples, n))
    counts = np.zeros((len(drawn), n))
    np.add.at(counts, (np.arange(len(drawn))[:, None], drawn), 1)
    return counts / n


def ratio_interval(above: ArrayLike, below: ArrayLike) -> tuple[float, float] | None:
    """Return Fieller's 95% interval of the ratio of two means, for unequal variances.

    Returns:
        None with fewer than five values of either, without any spread, or if the mean below is
        not known to be positive.

    References:
        Fieller 1954, "Some problems in interval estimation", J. R. Stat. Soc. B 16(2).
    """
    from scipy.stats import t

    (m1, v1, n1), (m2, v2, n2) = _moments(above), _moments(below)
    scaled = (m1 / m2) ** 2 * v2 if m2 else v2
    if min(n1, n2) < MIN_VALUES_FOR_INTERVAL or v1 + scaled == 0:
        return None
    degrees = (v1 + scaled) ** 2 / (v1**2 / (n1 - 1) + scaled**2 / (n2 - 1))
    q = float(t.ppf((1 + CONFIDENCE) / 2, degrees)) ** 2
    a, b, c = m2**2 - q * v2, m1 * m2, m1**2 - q * v1
    if a <= 0 or m2 <= 0:
        return None
    root = sqrt(max(b**2 - a * c, 0.0))
    return (b - root) / a, (b + root) / a


def _moments(values: ArrayLike) -> tuple[float, float, int]:
    """Return mean, squared standard error and number of values."""
    import numpy as np

    x = np.sort(np.asarray(values, dtype=np.float64))
    # the computed mean of equal values may not be one of them
    squared = float(x.var(ddof=1)) / len(x) if x[0] != x[-1] else 0.0
    return float(x.mean()), squared, len(x)


# Tests


def paired_p_value(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p-value of equal means, by flipping the signs of paired differences.

    It needs at least two pairs and is exact for up to :data:`MOST_EXACT_PAIRS`. The smallest
    possible p-value is that of :func:`smallest_paired_p_value`.

    References:
        Fisher 1935, "The Design of Experiments", section 21.
    """
    import numpy as np

    differences = (np.asarray(first, dtype=np.float64) - np.asarray(second)).round(12)
    if not differences.any():
        return 1.0
    if len(differences) > MOST_EXACT_PAIRS:
        return _drawn_p_value(differences)
    # The sums of all 2ⁿ choices of signs are those of two halves, each with its own signs
    half = len(differences) // 2
    left = _signed_sums(differences[:half])
    right = np.sort(_signed_sums(differences[half:]))
    rounding = 1e-12 * np.abs(differences).sum()
    least = abs(differences.sum()) - rounding
    above = float((len(right) - np.searchsorted(right, least - left)).sum())
    return float(min(1.0, 2 * above / 2 ** len(differences)))


def _signed_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of ``values`` [n] with every choice of signs, [2ⁿ]."""
    import numpy as np

    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _drawn_p_value(differences: NDArray[np.float64]) -> float:
    import numpy as np
    from scipy.stats import permutation_test

    p_value = 0.0
    for permutations in (FIRST_PERMUTATIONS, PERMUTATIONS):
        if p_value < _SMALL:
            tested = permutation_test(
                (differences,),
                lambda d, axis: d.mean(axis=axis),
                permutation_type="samples",
                vectorized=True,
                n_resamples=permutations,
                batch=FIRST_PERMUTATIONS,
                random_state=np.random.default_rng(0),
            )
            p_value = min(1.0, float(tested.pvalue))
    return p_value


def smallest_paired_p_value(pairs: int) -> float:
    """Return the smallest p-value that :func:`paired_p_value` can give with so many pairs."""
    return 2.0 ** (1 - pairs) if pairs <= MOST_EXACT_PAIRS else 2 / (PERMUTATIONS + 1)


def min_pairs_for_significance(comparisons: int = 1) -> int:
    """Return the fewest pairs with which one of so many comparisons can reach the 5% level."""
    n = 1
    while comparisons * smallest_paired_p_value(n) > SIGNIFICANCE:
        n += 1
    return n


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values with Holm's correction, in the same order.

    References:
        Holm 1979, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6(2).
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = largest
    return adjusted
