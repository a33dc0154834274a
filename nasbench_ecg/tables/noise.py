"""The noise card of a table: what can be told apart on a track, and what cannot."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, nct, norm, t

from nasbench_ecg.io import jsonable
from nasbench_ecg.metrics import SCORES
from nasbench_ecg.statistics import min_pairs_for_significance
from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.intraclass import (
    consistency,
    consistency_interval,
    intraclass,
    intraclass_interval,
    of_mean,
    variance_components,
)
from nasbench_ecg.tables.table import BASE_SEEDS, Table

LEAST_CORRELATION = 0.75
"""A complete table is published if the agreement of three seeds over all members reaches this."""

_FEWEST = 4
"""Members below which there is nothing to compute."""

_DIFFERENCE = 0.002
_POWER, _LEVEL = 0.8, 0.05


def tau(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return Kendall's τ-b of two scores of the same members."""
    return float(kendalltau(a, b).statistic)


def seeds_to_see(difference: float, sd: float) -> int:
    """Return the seeds a side that a two-sided test at 5% needs for 80% power.

    It is that of the paired t-test on normal values, and at least as many as the permutation test
    of leaderboards needs to show any difference.

    Args:
        difference: The true difference of two means.
        sd: Standard deviation of one training around its member's mean; at equal seeds, without the
            effect that a seed has on both.

    References:
        Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences", chapter 2.
    """
    n = min_pairs_for_significance()
    if sd > 0:
        effect = difference / (sqrt(2) * sd)
        n = max(n, int(((norm.ppf(1 - _LEVEL / 2) + norm.ppf(_POWER)) / effect) ** 2))
        while _power(n, effect) < _POWER:
            n += 1
    return n


def _power(n: int, effect: float) -> float:
    """Return the power of a paired t-test of ``n`` pairs; ``effect`` is in standard deviations."""
    critical = float(t.ppf(1 - _LEVEL / 2, n - 1))
    shift = effect * sqrt(n)
    return float(nct.sf(critical, n - 1, shift) + nct.cdf(-critical, n - 1, shift))


def noise_card(table: Table, metric: str = "f1_of_macro") -> dict[str, Any]:
    """Return the figures of the noise card, as plain data: fractions, and None if undefined.

    Only the first three seeds count, and members that are trained with all of them; ``members`` is
    their number, and with fewer than four there is nothing else. The best half and tenth are those
    with the largest mean test score, so their correlations are of a selected range.

    Args:
        table: The table.
        metric: One of :data:`nasbench_ecg.metrics.SCORES`.

    Returns:
        ``test`` (best and median mean score, the standard deviation of a seed, and its two parts:
        that of its effect on all members, and that of the rest), ``intraclass_correlation`` of one
        seed and of the mean of three, for all members with 95% intervals at these seeds
        (:func:`~nasbench_ecg.tables.intraclass.intraclass_interval`), ``intraclass_consistency``,
        the same for a ranking at equal seeds
        (:func:`~nasbench_ecg.tables.intraclass.consistency_interval`), ``kendall_tau``,
        ``regret_of_validation_winner`` (best mean test score minus that of the member with the best
        validation score, mean over the seeds), ``overlap_of_best_percent`` (share of the best 1% by
        one seed that are the best 1% by another one), ``not_told_from_best`` (members that a test
        at equal seeds does not tell from the best one, which is one of them),
        ``seeds_to_see_0.2_points`` at equal seeds, ``with_more_seeds``, what
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
    parts = variance_components(last)
    card["test"] = {
        "best": float(mean.max()),
        "median": float(np.median(mean)),
        "sd_of_a_seed": sqrt(parts.of_a_seed),
        "sd_common_to_all_members": sqrt(parts.seeds),
        "sd_at_equal_seeds": sqrt(parts.rest),
    }
    for figure, correlation, interval_of in (
        ("intraclass_correlation", intraclass, intraclass_interval),
        ("intraclass_consistency", consistency, consistency_interval),
    ):
        card[figure] = {}
        for name, share in (("all", 1.0), ("best_half", 0.5), ("best_tenth", 0.1)):
            one, several = correlation(last[ranked[: max(2, round(share * len(used)))]])
            card[figure][name] = {"one_seed": one, "three_seeds": several}
        interval = interval_of(last)
        card[figure]["all"] |= {
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
    card["seeds_to_see_0.2_points"] = seeds_to_see(_DIFFERENCE, sqrt(parts.rest))
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

    Both have the same seeds, so that an effect of a seed on all members is no noise. The variance
    of the rest is pooled over all members.
    """
    means, parts = scores.mean(axis=1), variance_components(scores)
    least = t.ppf(1 - _LEVEL / 2, parts.freedom) * np.sqrt(2 * parts.rest / scores.shape[1])
    return np.asarray(means[best] - means <= least)
