"""Rank correlation of two evaluators over the same sample of architectures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.report.table import Table, text_table
from nasbench_ecg.statistics import CONFIDENCE
from nasbench_ecg.studies.correlate import SampleScores
from nasbench_ecg.text import duration

MIN_SAMPLES = 3
"""Smallest number of architectures for a rank correlation."""

MIN_SAMPLES_FOR_INTERVAL = 8
"""Smallest number of architectures for an interval."""

_RESAMPLES = 1999


@dataclass(frozen=True)
class Correlation:
    """How well the rankings of two evaluators agree.

    Attributes:
        evaluator: Name of the evaluator.
        against: Name of the evaluator that it is compared with.
        n: Number of architectures.
        tau: Kendall's τ-b: 1 for the same ranking, 0 for unrelated ones, −1 for the reverse; None
            if all scores of one evaluator are equal.
        interval: 95% bootstrap interval of τ over architectures; None with too few of them.
        p_value: Two-sided p-value of the hypothesis that τ is 0.
        seconds: Mean duration of one evaluation.
    """

    evaluator: str
    against: str
    n: int
    tau: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    seconds: float


def correlate(evaluated: SampleScores, against: SampleScores) -> Correlation:
    """Return the rank correlation of two evaluators of the same architectures in the same order."""
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
    """Return the percentile bootstrap interval of τ; constant resamples are left out.

    References:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.
    """
    if len(x) < MIN_SAMPLES_FOR_INTERVAL:
        return None
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(x), size=(_RESAMPLES, len(x)))
    taus = [tau for tau, _ in (_kendall(x[i], y[i]) for i in drawn) if tau is not None]
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(taus, [tail, 100 - tail])
    return float(low), float(high)


def correlation_table(correlations: Sequence[Correlation], title: str) -> Table:
    """Return the correlations as a table, the largest τ first."""
    ordered = sorted(correlations, key=lambda c: (-(c.tau if c.tau is not None else -2.0),))
    rows = tuple(
        (
            found.evaluator,
            "–" if found.tau is None else _signed(found.tau),
            "" if found.interval is None else "{} to {}".format(*map(_signed, found.interval)),
            "" if found.p_value is None else f"{found.p_value:.2g}",
            duration(found.seconds, exact=True),
        )
        for found in ordered
    )
    against, n = correlations[0].against, correlations[0].n
    notes = [
        f"Kendall's τ-b with the validation score of {against} over {n} random architectures. "
        "Evaluators used the train and validation parts only, never the test part."
    ]
    if n < MIN_SAMPLES_FOR_INTERVAL:
        notes.append(f"An interval needs at least {MIN_SAMPLES_FOR_INTERVAL} architectures.")
    headings = ("evaluator", "τ", "95% interval", "p", "time per architecture")
    return text_table(title, headings, rows, notes)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
