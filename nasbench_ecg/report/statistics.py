"""What several seeds of one row say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

CONFIDENCE = 0.95
FEWEST_FOR_INTERVAL = 3
_RESAMPLES = 9999


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
    import numpy as np
    from scipy.stats import bootstrap

    interval = bootstrap(
        (np.asarray(sorted(values)),),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)
