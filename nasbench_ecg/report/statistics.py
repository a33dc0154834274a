"""What several seeds of one row say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
FEWEST_FOR_INTERVAL = 3
RESAMPLES = 9999


@dataclass(frozen=True)
class Summary:
    """A score over seeds, as a fraction. What too few seeds cannot tell is None.

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
    """Return the summary of one score over seeds, at least one; their order does not matter."""
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

    With so few seeds it is narrower than its name says: three can give no more than their range.

    References:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.
    """
    if len(values) < FEWEST_FOR_INTERVAL:
        return None
    return percentile_interval(resampled_means(values))


def resampled_means(values: Sequence[float], seed: int = 0) -> NDArray[np.float64]:
    """Return float64 [9999], the means of samples drawn from ``values`` with replacement."""
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
