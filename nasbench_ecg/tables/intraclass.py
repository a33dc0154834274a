"""How much of the variance of scores is due to the member: intraclass correlations.

A seed draws the training beats of every member, so seeds are crossed with members: a score is
mean + member + seed + rest. The share of the members in the variance is an *agreement* where the
effect of the seed counts as noise, as for two trainings with different seeds. It is a *consistency*
where it does not, as for a ranking of members at equal seeds.

Coverage of the 95% intervals in percent, over 4,000 or more simulated tables of normal scores with
three seeds; the standard deviation of members is 7.1 and that of the rest 4.2, as on
mitbih-2lead-context (``tests/test_intraclass.py`` measures some of it again):

=======  ===================  =====================  ======================  ===========
members  sd of common effect  agreement, same seeds  agreement, other seeds  consistency
=======  ===================  =====================  ======================  ===========
30       0                    95.0                   95.0                    94.9
30       2.3                  95.0                   91.3                    94.4
80       0                    94.6                   94.6                    94.4
80       2.3                  95.2                   85.7                    95.1
1,935    0                    95.3                   95.3                    95.3
1,935    2.3                  95.6                   27.5                    95.1
=======  ===================  =====================  ======================  ===========

For other seeds, the interval of McGraw and Wong for ICC(A,1) covers 73% in the last row, because
it counts the two degrees of freedom of the seeds as more. A generalized interval covers 95% there,
and is about 0.24 to 0.73.

References:
    Shrout, Fleiss 1979, "Intraclass correlations: uses in assessing rater reliability",
    Psychological Bulletin 86(2): ICC(2,1), ICC(2,k), ICC(3,1) and ICC(3,k).
    McGraw, Wong 1996, "Forming inferences about some intraclass correlation coefficients",
    Psychological Methods 1(1): the same as ICC(A,1), ICC(A,k), ICC(C,1) and ICC(C,k).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as fisher

_ROUNDING = 1e-12
"""Differences of scores, relative to the largest, that are rounding."""

_LEVEL = 0.05


@dataclass(frozen=True)
class Components:
    """Components of the variance of scores [members, k seeds].

    Attributes:
        members: Of the members; negative where they differ by less than the rest explains.
        seeds: Of the effect that a seed has on all members alike.
        rest: Of the rest, the effect of a seed on one member: what a comparison of two members at
            equal seeds has as noise.
        freedom: Degrees of freedom of ``rest``.
    """

    members: float
    seeds: float
    rest: float
    freedom: int

    @property
    def of_a_seed(self) -> float:
        """Variance of one training around the mean of its member."""
        return self.seeds + self.rest


def variance_components(scores: NDArray[np.float64]) -> Components:
    """Return the components of a two-way random model without interaction, by mean squares.

    Scores are [members, k seeds].
    A negative component of the seeds counts as zero, and their mean square as part of the rest,
    which is then that of a one-way model. NaN for fewer than two members or seeds.
    """
    found = _mean_squares(scores)
    if found is None:
        return Components(nan, nan, nan, 0)
    members = (found.members - found.rest) / scores.shape[1]
    return Components(members, found.common, found.rest, found.freedom[1])


def intraclass(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return the agreement of one seed and of the mean of k, of scores [members, k seeds].

    They are ICC(2,1) and ICC(2,k), and ICC(1,1) and ICC(1,k) where no effect of the seed is common
    to all members (:func:`variance_components`). Negative estimates are returned as they are; NaN
    for fewer than two members or seeds, and if all scores are equal.
    """
    found = _mean_squares(scores)
    if found is None or max(found.members, found.rest, found.common) <= found.rounding:
        return nan, nan
    k = scores.shape[1]
    one = _share(found.members, found.rest, found.common, k)
    return one, of_mean(one, k)


def intraclass_interval(scores: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the 95% interval of the agreement of one seed; None if it is undefined.

    Scores are [members, k seeds]. It holds for other members at *these* seeds: the estimated effect
    that they have on all members counts as exact. Few seeds say little of the effect that others
    would have.
    """
    if not np.isfinite(intraclass(scores)[0]):
        return None
    found = _mean_squares(scores)
    assert found is not None
    return found.interval(found.common, scores.shape[1])


def consistency(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return the consistency of one seed and of the mean of k: ICC(3,1) and ICC(3,k).

    Scores are [members, k seeds]. NaN for fewer than two members or seeds, and if members and rest
    have no variance.
    """
    found = _mean_squares(scores, pool=False)
    if found is None or max(found.members, found.rest) <= found.rounding:
        return nan, nan
    k = scores.shape[1]
    one = _share(found.members, found.rest, 0.0, k)
    return one, of_mean(one, k)


def consistency_interval(scores: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the 95% interval of the consistency of one seed; None if it is undefined.

    Scores are [members, k seeds]. It is exact for normal scores, whatever effect a seed has on all
    members.
    """
    if not np.isfinite(consistency(scores)[0]):
        return None
    found = _mean_squares(scores, pool=False)
    assert found is not None
    return found.interval(0.0, scores.shape[1])


def of_mean(one: float, k: int) -> float:
    """Return the correlation of the mean of k seeds from that of one (Spearman and Brown)."""
    rest = 1 + (k - 1) * one
    return k * one / rest if rest > 0 else -inf


@dataclass(frozen=True)
class _MeanSquares:
    """Mean squares of members and rest with their degrees of freedom, and the seeds' variance."""

    members: float
    rest: float
    common: float
    freedom: tuple[int, int]
    rounding: float

    def interval(self, common: float, k: int) -> tuple[float, float]:
        """Return the shares of the members at the ends of the 95% interval of F."""
        above, below = self.freedom
        low = self.members / float(fisher.ppf(1 - _LEVEL / 2, above, below))
        high = self.members * float(fisher.ppf(1 - _LEVEL / 2, below, above))
        return _share(low, self.rest, common, k), _share(high, self.rest, common, k)


def _mean_squares(scores: NDArray[np.float64], *, pool: bool = True) -> _MeanSquares | None:
    """Return None with too few scores; ``pool`` treats a negative component of the seeds as 0."""
    n, k = scores.shape
    if n < 2 or k < 2:
        return None
    by_member, by_seed = scores.mean(axis=1, keepdims=True), scores.mean(axis=0, keepdims=True)
    rounding = float((_ROUNDING * np.abs(scores).max()) ** 2)
    rest = ((scores - by_member - by_seed + scores.mean()) ** 2).sum() / ((n - 1) * (k - 1))
    common = float(by_seed.var(ddof=1) - rest / n)
    freedom = (n - 1, (n - 1) * (k - 1))
    if pool and common <= 0:
        rest, common = ((scores - by_member) ** 2).sum() / (n * (k - 1)), 0.0
        freedom = (n - 1, n * (k - 1))
    rest = 0.0 if rest <= rounding else float(rest)
    return _MeanSquares(float(k * by_member.var(ddof=1)), rest, common, freedom, rounding)


def _share(members: float, rest: float, common: float, k: int) -> float:
    """Return the share of the members, from two mean squares and the variance of the seeds."""
    variance = (members - rest) / k
    return float(variance / (variance + common + rest))
