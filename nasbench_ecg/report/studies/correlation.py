"""Rank correlation of two evaluators over the same sample of architectures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.report.statistics.seed_noise import SeedNoise
from nasbench_ecg.report.table import Table, text_table
from nasbench_ecg.statistics import CONFIDENCE
from nasbench_ecg.studies.correlate import SampleScores
from nasbench_ecg.tables.intraclass import (
    consistency,
    consistency_interval,
    intraclass,
    intraclass_interval,
    variance_components,
)
from nasbench_ecg.tables.noise import seeds_to_see
from nasbench_ecg.text import duration

MIN_SAMPLES = 3
"""Smallest number of architectures for a rank correlation."""

MIN_SAMPLES_FOR_INTERVAL = 8
"""Smallest number of architectures for an interval."""

_RESAMPLES = 1999

_PERMUTATIONS = 9999
_MOST_PERMUTED = 50
"""Architectures up to which p is by permutations if scores are equal: the normal approximation is
far too small for few different scores."""


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
        p_value: Two-sided p-value of the hypothesis that τ is 0; with equal scores by permutations.
        seconds: Mean duration of one evaluation.
        diverged: Architectures of which a training diverged; they count as the worst.
    """

    evaluator: str
    against: str
    n: int
    tau: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    seconds: float
    diverged: int = 0


def seed_noise(scored: Sequence[SampleScores]) -> SeedNoise | None:
    """Return the noise of the seed, from two or more seeds of one evaluator on one sample.

    Architectures of which a training diverged have no score to vary and are left out; None if fewer
    than :data:`MIN_SAMPLES` remain.
    """
    scores = np.array([one.scores for one in scored], np.float64).T
    n_sampled = len(scores)
    scores = scores[np.isfinite(scores).all(axis=1)]
    if len(scores) < MIN_SAMPLES:
        return None
    parts = variance_components(scores)
    taus = [_kendall(a, b)[0] for a, b in combinations(scores.T, 2)]
    known = [tau for tau in taus if tau is not None]
    one, several = map(_finite, intraclass(scores))
    return SeedNoise(
        evaluator=scored[0].evaluator,
        seeds=tuple(one.seed for one in scored),
        n=len(scores),
        sd=math.sqrt(parts.of_a_seed),
        sd_of_architectures=math.sqrt(max(parts.members, 0.0)),
        one_seed=one,
        all_seeds=several,
        tau=fmean(known) if known else None,
        seeds_to_see_a_point=seeds_to_see(0.01, math.sqrt(parts.rest)),
        interval=intraclass_interval(scores),
        at_equal_seeds=_finite(consistency(scores)[0]),
        interval_at_equal_seeds=consistency_interval(scores),
        diverged=n_sampled - len(scores),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def correlate(evaluated: SampleScores, *against: SampleScores) -> Correlation:
    """Return the rank correlation of two evaluators of the same architectures in the same order.

    Args:
        evaluated: Scores of the one.
        *against: Scores of the other, by one or several seeds; their mean is what counts.
    """
    x, y = np.asarray(evaluated.scores), np.mean([one.scores for one in against], axis=0)
    tau, p_value = _kendall(x, y)
    return Correlation(
        evaluator=evaluated.evaluator,
        against=against[0].evaluator,
        n=len(x),
        tau=tau,
        interval=None if tau is None else _interval(x, y),
        p_value=p_value if p_value is None or not _ties(x, y) else _permuted_p_value(x, y),
        seconds=fmean(evaluation.seconds for evaluation in evaluated.evaluations),
        diverged=int((~np.isfinite(x) | ~np.isfinite(y)).sum()),
    )


def _kendall(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[float, float] | tuple[None, None]:
    from scipy.stats import kendalltau

    found = kendalltau(x, y)
    tau, p_value = float(found.statistic), float(found.pvalue)
    return (tau, p_value) if math.isfinite(tau) else (None, None)


def _ties(x: NDArray[np.float64], y: NDArray[np.float64]) -> bool:
    few = len(x) <= _MOST_PERMUTED
    return few and min(len(np.unique(x)), len(np.unique(y))) < len(x)


def _permuted_p_value(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the share of permutations of ``x`` with a τ at least as far from 0.

    All permutations of up to seven scores, otherwise 9,999 drawn ones and the given order.
    """
    from scipy.stats import permutation_test, rankdata

    first, second = np.triu_indices(len(x), 1)
    signs = np.sign(np.diff(rankdata(y)[np.stack([first, second])], axis=0)[0])

    def distance(ranks: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        by_row = np.moveaxis(ranks, axis, -1)
        return np.asarray(np.abs(np.sign(by_row[..., second] - by_row[..., first]) @ signs))

    tested = permutation_test(
        (rankdata(x),),
        distance,
        permutation_type="pairings",
        alternative="greater",
        vectorized=True,
        n_resamples=_PERMUTATIONS,
        batch=1000,
        random_state=np.random.default_rng(0),
    )
    return float(tested.pvalue)


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


def noise_table(noise: SeedNoise, title: str) -> Table:
    """Return the noise of the seed as a table."""
    shown = {
        "standard deviation of a seed": f"{100 * noise.sd:.2f} points",
        "standard deviation of the architectures": f"{100 * noise.sd_of_architectures:.2f} points",
        "intraclass correlation of one seed": _share(noise.one_seed) + _limits(noise.interval),
        "the same at equal seeds": _share(noise.at_equal_seeds)
        + _limits(noise.interval_at_equal_seeds),
        f"intraclass correlation of the mean of {len(noise.seeds)}": _share(noise.all_seeds),
        "τ of one seed with another": "–" if noise.tau is None else _signed(noise.tau),
        "seeds that see a difference of 1 point": str(noise.seeds_to_see_a_point),
    }
    note = (
        f"Validation scores of {noise.n} random architectures by {noise.evaluator}, with "
        f"{len(noise.seeds)} seeds each: what differs by less than the seed does is not shown by "
        "one run."
    )
    if noise.interval is not None:
        note += (
            " 95% intervals over architectures: the first one holds for these seeds, and the one "
            "at equal seeds for any."
        )
    if noise.diverged:
        note += f" Left out, because their training diverged with a seed: {noise.diverged}."
    return text_table(title, ("noise of the seed", "value"), tuple(shown.items()), [note])


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def _limits(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else " ({} to {})".format(*map(_share, interval))


def correlation_table(
    correlations: Sequence[Correlation], title: str, seeds: Sequence[int] = (0,)
) -> Table:
    """Return the correlations as a table, the largest τ first.

    Args:
        correlations: Of evaluators with the same one.
        title: Heading.
        seeds: Seeds of the evaluator that they are compared with.
    """
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
        f"Kendall's τ-b with the validation score of {against}"
        + (f", mean of {len(seeds)} seeds," if len(seeds) > 1 else "")
        + f" over {n} random architectures. "
        "Evaluators used the train and validation parts only, never the test part."
    ]
    if len(correlations) > 1:
        notes.append(
            "Intervals and p are of each evaluator alone: they are not corrected for the "
            f"{len(correlations)} evaluators."
        )
    if diverged := [one for one in correlations if one.diverged]:
        listed = ", ".join(f"{one.evaluator} {one.diverged}" for one in diverged)
        notes.append(
            f"Architectures of which a training diverged, by {against} or by the evaluator: "
            f"{listed}. Such a score counts as the worst."
        )
    if n < MIN_SAMPLES_FOR_INTERVAL:
        notes.append(f"An interval needs at least {MIN_SAMPLES_FOR_INTERVAL} architectures.")
    headings = ("evaluator", "τ", "95% interval", "p", "time per architecture")
    return text_table(title, headings, rows, notes)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
