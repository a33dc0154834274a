"""Rank correlation of evaluators over one sample of architectures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.report.statistics import CONFIDENCE
from nasbench_ecg.report.table import Grid
from nasbench_ecg.report.text import coarse_duration, milliseconds
from nasbench_ecg.studies.correlate import SampleScores

FEWEST = 3
"""Fewest architectures that have a rank correlation worth the name."""

FEWEST_FOR_INTERVAL = 8
"""Fewest architectures that give an interval."""

_RESAMPLES = 1999


@dataclass(frozen=True)
class Correlation:
    """How one evaluator ranks architectures as another does.

    Attributes:
        evaluator: Name of the evaluator.
        against: Name of the other one.
        n: Number of architectures.
        tau: Kendall's τ-b: 1 the same ranking, 0 none in common, −1 the reverse; None where all
            scores of one evaluator are equal.
        interval: 95% bootstrap interval of τ over architectures; None with too few of them.
        p_value: Two-sided probability of so large a τ by chance.
        seconds: Mean wall time of one evaluation.
    """

    evaluator: str
    against: str
    n: int
    tau: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    seconds: float


def correlate(evaluated: SampleScores, against: SampleScores) -> Correlation:
    """Return the rank correlation of two evaluators of the same architectures, in one order."""
    x, y = np.asarray(evaluated.scores), np.asarray(against.scores)
    tau, p_value = _kendall(x, y)
    return Correlation(
        evaluator=evaluated.evaluator,
        against=against.evaluator,
        n=len(x),
        tau=tau,
        interval=None if tau is None else _interval(x, y),
        p_value=p_value,
        seconds=fmean(evaluation.seconds for evaluation in evaluated.evaluations),
    )


def _kendall(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[float, float] | tuple[None, None]:
    from scipy.stats import kendalltau

    found = kendalltau(x, y)
    tau, p_value = float(found.statistic), float(found.pvalue)
    return (tau, p_value) if math.isfinite(tau) else (None, None)


def _interval(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval over pairs; resamples of one value are left out.

    References:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.
    """
    if len(x) < FEWEST_FOR_INTERVAL:
        return None
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(x), size=(_RESAMPLES, len(x)))
    taus = [tau for tau, _ in (_kendall(x[i], y[i]) for i in drawn) if tau is not None]
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(taus, [tail, 100 - tail])
    return float(low), float(high)


def table(correlations: Sequence[Correlation], title: str) -> Grid:
    """Return the correlations as a table, the largest τ first."""
    ordered = sorted(correlations, key=lambda c: (-(c.tau if c.tau is not None else -2.0),))
    rows = tuple(
        (
            found.evaluator,
            "–" if found.tau is None else _signed(found.tau),
            "" if found.interval is None else "{} to {}".format(*map(_signed, found.interval)),
            "" if found.p_value is None else f"{found.p_value:.2g}",
            _time(found.seconds),
        )
        for found in ordered
    )
    against, n = correlations[0].against, correlations[0].n
    notes = [
        f"Kendall's τ-b with the validation score of {against} over {n} random architectures, "
        "trained on the train part; the test part was not opened."
    ]
    if n < FEWEST_FOR_INTERVAL:
        notes.append(f"Fewer than {FEWEST_FOR_INTERVAL} architectures give no interval.")
    headings = ("evaluator", "τ", "95% interval", "p", "time each")
    return Grid(title, headings, rows, tuple(notes))


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _time(seconds: float) -> str:
    return milliseconds(1e3 * seconds) if seconds < 1 else coarse_duration(seconds)
