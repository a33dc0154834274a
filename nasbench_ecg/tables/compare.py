"""Searches compared over many simulated repetitions: regret, hypervolume, ranks, and tests.

References:
    Wilcoxon 1945, "Individual comparisons by ranking methods", Biometrics Bulletin 1(6); zero
    differences as by Pratt 1959, J. Am. Stat. Assoc. 54.
    Vargha, Delaney 2000, "A critique and improvement of the CL common language effect size
    statistics", J. Educ. Behav. Stat. 25(2): the probability of superiority A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, rankdata, t, wilcoxon

from nasbench_ecg.contracts import Budget
from nasbench_ecg.statistics import CONFIDENCE, MOST_EXACT_PAIRS, holm, paired_p_value
from nasbench_ecg.tables.comparison import (
    Comparison,
    Curve,
    Outcome,
    Quartiles,
    SearchComparison,
    Winner,
)
from nasbench_ecg.tables.lookup import METRIC
from nasbench_ecg.tables.outcome import By, best_so_far, hypervolumes, incumbent_members
from nasbench_ecg.tables.simulate import Simulation
from nasbench_ecg.tables.table import Table

POINTS = 8
"""Points of a curve."""

_FINE = 100
"""Points of a curve that is drawn, at most."""

Simulations = Mapping[str, Simulation]


def compare(
    table: Table, simulations: Mapping[Budget, Simulations], baseline: str, costs: Sequence[str]
) -> SearchComparison:
    """Compare searches with a baseline at several budgets.

    Args:
        table: The table that they were simulated on.
        simulations: The searches by budget and label; each was run with that budget.
        baseline: Label of the baseline, random search.
        costs: Costs of the hypervolumes, each with the test score.
    """

    def final(volume_of: str | None, budget: Budget, one: Simulation) -> NDArray[np.float64]:
        points, by = [_size(budget)], _by(budget)
        if volume_of is None:
            return best_so_far(one, table, points, by)[:, 0]
        return hypervolumes(one, table, volume_of, points, by)[:, 0]

    measures: dict[str | None, list[dict[str, NDArray[np.float64]]]] = {
        measure: [
            {label: final(measure, budget, one) for label, one in found.items()}
            for budget, found in simulations.items()
        ]
        for measure in (None, *costs)
    }
    compared = {measure: _compare(values, baseline) for measure, values in measures.items()}
    outcomes = [
        Outcome(
            budget,
            compared[None][i],
            {cost: compared[cost][i] for cost in costs},
            {
                (a, b): superiority(x, y)
                for a, x in measures[None][i].items()
                for b, y in measures[None][i].items()
                if a != b
            },
            {measure or "f1": values[i] for measure, values in measures.items()},
        )
        for i, budget in enumerate(simulations)
    ]
    best = float(np.nanmax(table.mean_test_scores(METRIC)))
    curves = [
        _curve(table, one, budget, best, costs)
        for budget in _largest(list(simulations))
        for one in simulations[budget].values()
    ]
    return SearchComparison(
        baseline,
        best,
        tuple(costs),
        tuple(outcomes),
        tuple(curves),
        _regret_curves(table, simulations, best),
        _winners(table, simulations, costs),
    )


def _winners(
    table: Table, simulations: Mapping[Budget, Simulations], costs: Sequence[str]
) -> tuple[Winner, ...]:
    largest = _own_largest(simulations, "evaluation")
    test, known = table.mean_test_scores(METRIC), table.costs()
    winners = []
    for label, budget in largest.items():
        members = incumbent_members(simulations[budget][label], [_size(budget)])[:, 0]
        counts = np.bincount(members)
        row = int(counts.argmax())
        winners.append(
            Winner(
                label,
                budget,
                table.members[row],
                float(counts[row] / len(members)),
                float(test[row]),
                {cost: float(known[cost][row]) for cost in costs},
            )
        )
    return tuple(winners)


def _by(budget: Budget) -> By:
    return "seconds" if budget.evaluations is None else "evaluation"


def _size(budget: Budget) -> float:
    return float(budget.evaluations if budget.evaluations is not None else budget.seconds or 0.0)


def _largest(budgets: Sequence[Budget]) -> list[Budget]:
    largest: dict[By, Budget] = {}
    for budget in sorted(budgets, key=_size):
        largest[_by(budget)] = budget
    return list(largest.values())


def _own_largest(simulations: Mapping[Budget, Simulations], by: By) -> dict[str, Budget]:
    """Return the largest budget of one kind that each search has."""
    largest: dict[str, Budget] = {}
    for budget in sorted((b for b in simulations if _by(b) == by), key=_size):
        largest.update(dict.fromkeys(simulations[budget], budget))
    return largest


def _curve(
    table: Table, one: Simulation, budget: Budget, best: float, costs: Sequence[str]
) -> Curve:
    by, size = _by(budget), _size(budget)
    if by == "evaluation":
        places = np.unique(np.geomspace(max(1.0, size / 100), size, POINTS).round())
    else:
        places = np.geomspace(size / 100, size, POINTS)
    points: list[float] = places.tolist()
    regret = best - best_so_far(one, table, points, by)
    volume = hypervolumes(one, table, costs[0], points, by) if costs else regret[:, :0]
    return Curve(
        one.label,
        by,
        tuple(points),
        tuple(map(_quartiles, regret.T)),
        tuple(map(_quartiles, volume.T)),
    )


def _regret_curves(
    table: Table, simulations: Mapping[Budget, Simulations], best: float
) -> tuple[Curve, ...]:
    curves = []
    by: By
    for by in ("evaluation", "seconds"):
        for label, budget in _own_largest(simulations, by).items():
            one, size = simulations[budget][label], _size(budget)
            places = np.geomspace(_start(one, by, size), size, _FINE)
            points: list[float] = np.unique(
                places.round() if by == "evaluation" else places
            ).tolist()
            regret = best - best_so_far(one, table, points, by)
            curves.append(Curve(label, by, tuple(points), tuple(map(_quartiles, regret.T)), ()))
    return tuple(curves)


def _start(one: Simulation, by: By, size: float) -> float:
    """Return when the first evaluation of every repetition is complete, at most the budget."""
    if by == "evaluation":
        return 1.0
    first = one.steps.groupby("repetition")["seconds"].first()
    return float(min(first.max(), size)) if len(first) else size / _FINE


def _quartiles(values: NDArray[np.float64]) -> Quartiles:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return low, middle, high


def _compare(
    measured: Sequence[Mapping[str, NDArray[np.float64]]], baseline: str
) -> list[tuple[Comparison, ...]]:
    """Return the comparisons of one measure, of which more is better, for each budget."""
    n = max(1, sum(len(values) - 1 for values in measured))
    rows: list[list[Comparison]] = []
    tested: list[tuple[tuple[int, int], float]] = []
    for place, values in enumerate(measured):
        ranks = _mean_ranks(values)
        rows.append([])
        for label, found in values.items():
            row = Comparison(
                label, len(found), _quartiles(found), float(found.mean()), ranks[label]
            )
            if label != baseline:
                base = values[baseline]
                common = min(len(found), len(base))
                difference = found[:common] - base[:common]
                row = replace(
                    row,
                    difference=paired_interval(difference, n),
                    superiority=superiority(found, base),
                )
                tested.append(((place, len(rows[place])), signed_rank(difference)))
            rows[place].append(row)
    corrected = holm([p for _, p in tested])
    for ((place, index), _), p in zip(tested, corrected, strict=True):
        rows[place][index] = replace(rows[place][index], p=p)
    return [tuple(row) for row in rows]


def _mean_ranks(values: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Return the mean rank of each search over the repetitions that all of them have."""
    common = min(map(len, values.values()))
    ranks = rankdata(-np.stack([found[:common] for found in values.values()]), axis=0)
    return dict(zip(values, ranks.mean(axis=1).tolist(), strict=True))


def paired_interval(
    differences: NDArray[np.float64], comparisons: int
) -> tuple[float, float, float]:
    """Return the mean difference and its Student interval, simultaneous over comparisons."""
    n = len(differences)
    mean = float(differences.mean())
    quantile = t.ppf(1 - (1 - CONFIDENCE) / (2 * comparisons), n - 1)
    half = float(quantile * differences.std(ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


def signed_rank(differences: NDArray[np.float64]) -> float:
    """Return p of Wilcoxon's two-sided signed-rank test; 1 if all differences are zero.

    It is exact where up to :data:`MOST_EXACT_PAIRS` differences are not zero, and for up to 50
    pairs without zeros and ties. Zeros take the lowest ranks (Pratt 1959).
    """
    ranks = rankdata(np.abs(differences)) * np.sign(differences)
    if not ranks.any():
        return 1.0
    if np.count_nonzero(ranks) <= MOST_EXACT_PAIRS:
        signed = ranks[ranks != 0]
        return paired_p_value(signed.tolist(), [0.0] * len(signed))
    return float(wilcoxon(differences, zero_method="pratt").pvalue)


def superiority(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the probability that a value of ``a`` is larger than one of ``b``, ties half."""
    return float(mannwhitneyu(a, b, method="asymptotic").statistic) / (len(a) * len(b))
