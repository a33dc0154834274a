"""The noise card of a table: what can be told apart on a track, and what cannot.

References:
    Shrout, Fleiss 1979, "Intraclass correlations: uses in assessing rater reliability",
    Psychological Bulletin 86(2): ICC(1,1) and ICC(1,k) of a one-way random-effects model.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import ceil, inf
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as fisher
from scipy.stats import kendalltau, norm, t

from nasbench_ecg.io import jsonable
from nasbench_ecg.metrics import SCORES
from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.table import BASE_SEEDS, Table

LEAST_CORRELATION = 0.75
"""A complete table is published if ICC(1,3) of the test score over all members reaches this."""

_FEWEST = 4
"""Members below which there is nothing to compute."""

_ROUNDING = 1e-12
"""Differences of scores, relative to the largest, that are rounding."""

_DIFFERENCE = 0.002
_POWER, _LEVEL = 0.8, 0.05


def intraclass(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return ICC(1,1) and ICC(1,k) of scores [members, k seeds]: one seed, and the mean of k.

    Negative estimates are returned as they are; NaN for fewer than two members or seeds, and if all
    scores are equal.
    """
    n, k = scores.shape
    if n < 2 or k < 2:
        return float("nan"), float("nan")
    means = scores.mean(axis=1)
    between = k * means.var(ddof=1)
    within = ((scores - means[:, None]) ** 2).sum() / (n * (k - 1))
    rounding = (_ROUNDING * np.abs(scores).max()) ** 2
    if max(between, within) <= rounding:
        return float("nan"), float("nan")
    one = (between - within) / (between + (k - 1) * within)
    mean = (between - within) / between if between > rounding else float("nan")
    return float(one), float(mean)


def intraclass_interval(scores: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the 95% interval of ICC(1,1) of scores [members, k seeds]; None if it is undefined.

    It is exact for normal members and seeds (Shrout and Fleiss 1979, from the F distribution).
    """
    n, k = scores.shape
    if not np.isfinite(intraclass(scores)[0]):
        return None
    means = scores.mean(axis=1)
    within = ((scores - means[:, None]) ** 2).sum() / (n * (k - 1))
    if within == 0:
        return 1.0, 1.0
    ratio = k * means.var(ddof=1) / within
    freedom, rest = n - 1, n * (k - 1)
    low = ratio / fisher.ppf(1 - _LEVEL / 2, freedom, rest)
    high = ratio * fisher.ppf(1 - _LEVEL / 2, rest, freedom)
    return float((low - 1) / (low + k - 1)), float((high - 1) / (high + k - 1))


def of_mean(one: float, k: int) -> float:
    """Return ICC(1,k) of the mean of k seeds from ICC(1,1) of one (Spearman and Brown)."""
    rest = 1 + (k - 1) * one
    return k * one / rest if rest > 0 else -inf


def tau(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return Kendall's τ-b of two scores of the same members."""
    return float(kendalltau(a, b).statistic)


def seeds_to_see(difference: float, sd: float) -> int:
    """Return the seeds a side that a two-sided test at 5% needs for 80% power (normal theory).

    Args:
        difference: The true difference of two means.
        sd: Standard deviation of one training around its member's mean.
    """
    z = norm.ppf(1 - _LEVEL / 2) + norm.ppf(_POWER)
    return max(2, ceil(2 * (z * sd / difference) ** 2))


def noise_card(table: Table, metric: str = "f1_of_macro") -> dict[str, Any]:
    """Return the figures of the noise card, as plain data: fractions, and None if undefined.

    Only the first three seeds count, and members that are trained with all of them; ``members`` is
    their number, and with fewer than four there is nothing else. The best half and tenth are those
    with the largest mean test score, so their correlations are of a selected range.

    Args:
        table: The table.
        metric: One of :data:`nasbench_ecg.metrics.SCORES`.

    Returns:
        ``test`` (best and median mean score, and the standard deviation of a seed),
        ``intraclass_correlation`` of one seed and of the mean of three, for all members with 95%
        intervals (:func:`intraclass_interval`), ``kendall_tau``, ``regret_of_validation_winner``
        (best mean test score minus that of the member with the best validation score, mean over the
        seeds), ``overlap_of_best_percent`` (share of the best 1% by one seed that are the best 1%
        by another one), ``not_told_from_best`` (members that a test does not tell from the best
        one, which is one of them), ``seeds_to_see_0.2_points``, ``with_more_seeds``, what
        :func:`with_more_seeds` returns, and ``published``: whether the table is complete and its
        scores are reproducible enough.

    Raises:
        TableError: There is no such score.
    """
    if metric not in SCORES:
        raise TableError(
            f"There is no noise card of {metric!r}.", fix=f"Known are: {', '.join(SCORES)}."
        )
    used = _complete(table)
    card: dict[str, Any] = {
        "members": len(used),
        "of": table.card.members,
        "seeds": BASE_SEEDS,
        "metric": metric,
        "published": False,
    }
    if len(used) < _FEWEST:
        return card
    test = table.values("test", metric)[used, :BASE_SEEDS]
    validation = table.values("validation", metric)[used, :BASE_SEEDS]
    last, mean = test[:, :, -1], test[:, :, -1].mean(axis=1)
    ranked = np.argsort(-mean, kind="stable")
    within_sd = float(np.sqrt(last.var(axis=1, ddof=1).mean()))
    card["test"] = {
        "best": float(mean.max()),
        "median": float(np.median(mean)),
        "sd_of_a_seed": within_sd,
    }
    card["intraclass_correlation"] = {}
    for name, share in (("all", 1.0), ("best_half", 0.5), ("best_tenth", 0.1)):
        one, several = intraclass(last[ranked[: max(2, round(share * len(used)))]])
        card["intraclass_correlation"][name] = {"one_seed": one, "three_seeds": several}
    interval = intraclass_interval(last)
    card["intraclass_correlation"]["all"] |= {
        "one_seed_interval": interval,
        "three_seeds_interval": interval and [of_mean(bound, BASE_SEEDS) for bound in interval],
    }
    card["kendall_tau"] = {
        "validation_with_test": tau(validation[:, :, -1].mean(axis=1), mean),
        "seed_with_seed": float(
            np.mean([tau(last[:, i], last[:, j]) for i, j in combinations(range(BASE_SEEDS), 2)])
        ),
        "epoch_with_last": {
            str(epoch + 1): tau(validation[:, :, epoch].mean(axis=1), mean)
            for epoch in range(test.shape[2] - 1)
        },
        **{
            f"{name}_with_test": tau(values[used], mean)
            for name, values in {**table.costs(), **table.proxies()}.items()
        },
    }
    card["regret_of_validation_winner"] = float(
        np.mean([mean.max() - mean[validation[:, s, -1].argmax()] for s in range(BASE_SEEDS)])
    )
    best = max(1, round(0.01 * len(used)))
    tops = [set(np.argsort(-last[:, s], kind="stable")[:best].tolist()) for s in range(BASE_SEEDS)]
    card["overlap_of_best_percent"] = float(
        np.mean([len(a & b) / best for a, b in combinations(tops, 2)])
    )
    card["not_told_from_best"] = int(_indistinct(last, ranked[0]).sum())
    card["seeds_to_see_0.2_points"] = seeds_to_see(_DIFFERENCE, within_sd)
    card["with_more_seeds"] = with_more_seeds(table, metric)
    several = card["intraclass_correlation"]["all"]["three_seeds"]
    card["published"] = bool(len(used) == table.card.members and several >= LEAST_CORRELATION)
    return dict(jsonable(card))


def with_more_seeds(table: Table, metric: str = "f1_of_macro") -> dict[str, Any] | None:
    """Return what the members that are trained with all seeds of the card say of the test score.

    Args:
        table: The table.
        metric: One of :data:`nasbench_ecg.metrics.SCORES`.

    Returns:
        ``members``, ``seeds``, ``sd_of_a_seed``, ``intraclass_correlation`` of one seed and of all,
        and ``kendall_tau``, of the mean of the first three seeds with that of the others. None if
        the card has three seeds or fewer, or fewer than four members have all.
    """
    rows = np.flatnonzero(table.trained.all(axis=1))
    if table.card.seeds <= BASE_SEEDS or len(rows) < _FEWEST:
        return None
    scores = table.values("test", metric)[rows, :, -1]
    one, all_seeds = intraclass(scores)
    first, others = scores[:, :BASE_SEEDS].mean(axis=1), scores[:, BASE_SEEDS:].mean(axis=1)
    return {
        "members": len(rows),
        "seeds": table.card.seeds,
        "sd_of_a_seed": float(np.sqrt(scores.var(axis=1, ddof=1).mean())),
        "intraclass_correlation": {"one_seed": one, "all_seeds": all_seeds},
        "kendall_tau": tau(first, others),
    }


def track_with_track(
    tables: Mapping[str, Table], metric: str = "f1_of_macro"
) -> dict[tuple[str, str], float]:
    """Return Kendall's τ between the mean test scores of the same members on each two tracks.

    Args:
        tables: The tables of the tracks, of one space, by name.
        metric: One of :data:`nasbench_ecg.metrics.SCORES`.

    Returns:
        τ by the names of two tracks, where they share at least three members with all base seeds.
    """
    means = {}
    for name, table in tables.items():
        values = table.values("test", metric)[:, :BASE_SEEDS, -1]
        keep = set(_complete(table).tolist())
        means[name] = {
            arch.hash: values[i].mean() for i, arch in enumerate(table.members) if i in keep
        }
    found = {}
    for a, b in combinations(means, 2):
        common = sorted(means[a].keys() & means[b].keys())
        if len(common) > 2:
            pairs = np.array([[means[a][key], means[b][key]] for key in common])
            found[a, b] = tau(pairs[:, 0], pairs[:, 1])
    return found


def _complete(table: Table) -> NDArray[np.int64]:
    """Return the rows of the members that have all base seeds."""
    if table.card.seeds < BASE_SEEDS:
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.asarray(table.trained[:, :BASE_SEEDS].all(axis=1)))


def _indistinct(scores: NDArray[np.float64], best: int) -> NDArray[np.bool_]:
    """Return which members a two-sided test at 5% does not tell from the best.

    The test pools the variance of the seeds over all members.
    """
    n, k = scores.shape
    means = scores.mean(axis=1)
    pooled = scores.var(axis=1, ddof=1).mean()
    least = t.ppf(1 - _LEVEL / 2, n * (k - 1)) * np.sqrt(2 * pooled / k)
    return np.asarray(means[best] - means <= least)
