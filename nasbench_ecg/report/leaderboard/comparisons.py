"""Comparisons between the rows of a leaderboard, and of methods over several datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nasbench_ecg.metrics import SCORES
from nasbench_ecg.report.leaderboard.types import Leaderboard, Row, RunId
from nasbench_ecg.report.measures import RANKED_BY
from nasbench_ecg.report.statistics.datasets import CriticalDifference, critical_difference
from nasbench_ecg.report.statistics.patient_permutation import paired_person_p_value
from nasbench_ecg.report.statistics.patients import PersonMatrices
from nasbench_ecg.report.statistics.seeds import (
    Comparison,
    Improvement,
    compare_all,
    improvement,
    open_ranks,
)
from nasbench_ecg.run.option_text import value_text
from nasbench_ecg.statistics import holm

RANDOM_SEARCH = "random"
"""Name, in run records, of the strategy that searches are compared with."""

_LATENCY = "latency_1_ms"
PARETO_COSTS = {"parameters": "P", "macs": "M", _LATENCY: "L"}
"""Costs that have a Pareto front, with the letter that stands for each."""


def with_comparisons(
    board: Leaderboard, persons: Mapping[tuple[RunId, ...], PersonMatrices] | None = None
) -> Leaderboard:
    """Return the leaderboard with rank intervals, tests, improvements and Pareto fronts.

    Args:
        board: The leaderboard; its ranked rows must come first.
        persons: By the runs of a row, its matrices by test person, for paired tests over
            persons.
    """
    persons = persons or {}
    ranked = [row for row in board.rows if row.rank is not None]
    unranked = board.rows[len(ranked) :]
    scores = [row.score_by_search for row in ranked]
    by_person = [persons.get(row.run_ids) for row in ranked]
    tested = board.n_searches > 1 or sum(one is not None for one in by_person) > 1
    comparisons = compare_all(scores) if tested else []
    comparisons = _over_persons(comparisons, by_person, board.ranked_by)
    if intervals := open_ranks(len(ranked), board.n_searches, comparisons):
        ranked = [
            replace(row, rank_interval=interval)
            for row, interval in zip(ranked, intervals, strict=True)
        ]
    fronts = [cost for cost in PARETO_COSTS if cost != _LATENCY or len(board.processors) < 2]
    rows = with_pareto_fronts([*ranked, *unranked], fronts)
    return replace(
        board,
        rows=tuple(replace(row, improvement=_over_random(row, rows)) for row in rows),
        comparisons=tuple(comparisons),
    )


def _over_persons(
    comparisons: Sequence[Comparison], persons: Sequence[PersonMatrices | None], score: str
) -> list[Comparison]:
    """Return the comparisons with tests over persons, where both methods have the same ones."""
    found: dict[int, float] = {}
    for i, one in enumerate(comparisons):
        first, second = persons[one.first], persons[one.second]
        if first is None or second is None or score not in SCORES:
            continue
        if (first.persons, first.matrices.shape) == (second.persons, second.matrices.shape):
            found[i] = paired_person_p_value(first, second, score)
    adjusted = dict(zip(found, holm(list(found.values())), strict=True))
    return [
        replace(
            one,
            n_persons=len(matrices.persons),
            p_persons=found[i],
            p_persons_adjusted=adjusted[i],
        )
        if i in found and (matrices := persons[one.first]) is not None
        else one
        for i, one in enumerate(comparisons)
    ]


# Improvement over random architectures


def _over_random(row: Row, rows: Sequence[Row]) -> Improvement | None:
    baseline = random_row(row, rows)
    if row.ranked_by != RANKED_BY:  # a relative improvement needs a score with a zero
        return None
    if baseline is None or baseline.run_ids == row.run_ids or not row.score_by_seed:
        return None
    return improvement(row.score_by_search, baseline.score_by_search)


def random_row(row: Row, rows: Sequence[Row]) -> Row | None:
    """Return the row of random architectures to compare ``row`` with, None if there is none.

    It has the same space and the same training recipe. Of several, it is the one whose search
    evaluated the fewest candidates: the closest to a plain random draw.
    """
    candidates = [
        other
        for other in rows
        if other.strategy == RANDOM_SEARCH
        and (other.space_digest, other.recipe_digest) == (row.space_digest, row.recipe_digest)
        and other.score_by_seed
        and sum(other.score_by_seed) > 0
    ]
    if not candidates:
        return None
    return min(candidates, key=lambda other: (effort(other), other.run_keys))


def effort(row: Row) -> tuple[float, bool]:
    """Return the number of candidates that a search evaluated; of equals, own runs come first."""
    return row.evaluations or 0.0, row.submitted_by is not None


# Pareto fronts


def with_pareto_fronts(rows: Sequence[Row], costs: Iterable[str] = PARETO_COSTS) -> list[Row]:
    """Return the rows with the costs for which each lies on the Pareto front of score and cost.

    Only ranked rows take part. A cost that fewer than two of them have has no front.
    """
    fronts = {cost: _front_of_ranked(rows, cost) for cost in costs}
    return [
        replace(row, pareto_costs=tuple(cost for cost, front in fronts.items() if i in front))
        for i, row in enumerate(rows)
    ]


def _front_of_ranked(rows: Sequence[Row], cost: str) -> set[int]:
    points = {
        i: (row.ranking_mean, row.costs[cost])
        for i, row in enumerate(rows)
        if row.rank is not None and cost in row.costs
    }
    return pareto_front(points) if len(points) > 1 else set()


def pareto_front(points: Mapping[int, tuple[float, float]]) -> set[int]:
    """Return the keys of the points (score, cost) that no other one dominates."""
    return {i for i, p in points.items() if not any(_dominates(q, p) for q in points.values())}


def _dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Return whether ``a`` (score, cost) is no worse than ``b`` in both and better in one."""
    return a != b and a[0] >= b[0] and a[1] <= b[1]


# Several datasets


def across_datasets(
    boards: Sequence[Leaderboard], persons: Sequence[frozenset[str]]
) -> dict[str, CriticalDifference]:
    """Return the critical differences of methods that were run on several datasets.

    Datasets are compared together if they share protocol, profile and evaluator, with the options
    that all rows have in common, but no person, and so no beat. Of several leaderboards of one
    track, and of datasets with a common person, the first counts. Methods without a rank on one of
    the datasets are left out and named.

    Args:
        boards: The leaderboards.
        persons: The persons of the beats of each.

    Returns:
        By protocol, profile, evaluator and these options, joined by ``·``; without those that have
        fewer than five datasets or three methods.
    """
    groups: dict[str, dict[str, Leaderboard]] = {}
    taken: dict[str, set[str]] = {}
    for board, own in zip(boards, persons, strict=True):
        track = board.track
        recipe = [
            f"{name.partition('.')[2]}={value_text(value)}"
            for name, value in sorted({**board.options, **board.usual}.items())
            if name.startswith(("builder.", "evaluator.", "space."))
        ]
        name = " · ".join([track.protocol, track.profile, track.evaluator, *recipe])
        group, others = groups.setdefault(name, {}), taken.setdefault(name, set())
        if own and own.isdisjoint(others) and track.dataset not in group:
            group[track.dataset] = board
            others |= own
    found = {}
    for name, by_dataset in groups.items():
        names = _names(by_dataset.values())
        scores = {
            dataset: {
                names[row.method_digest]: row.ranking_mean
                for row in board.rows
                if row.rank is not None
            }
            for dataset, board in by_dataset.items()
        }
        scores = {dataset: by_method for dataset, by_method in scores.items() if by_method}
        methods = sorted(set.intersection(*map(set, scores.values()))) if scores else []
        table = [[by_method[method] for method in methods] for by_method in scores.values()]
        result = critical_difference(table, methods, list(scores))
        if result is not None:
            incomplete = sorted(set[str]().union(*scores.values()) - set(methods))
            left_out = {
                method: tuple(dataset for dataset in scores if method not in scores[dataset])
                for method in incomplete
            }
            found[name] = replace(result, left_out=tuple(left_out.items()))
    return found


def _names(boards: Iterable[Leaderboard]) -> dict[str, str]:
    """Return a unique name of each method: its label on the first leaderboard that has it.

    Two methods may have one label, on two leaderboards.
    """
    rows: dict[str, tuple[str, Row]] = {}
    for board in boards:
        for row in board.rows:
            rows.setdefault(row.method_digest, (board.label(row), row))
    labels = Counter(label for label, _ in rows.values())
    return {
        method: label
        if labels[label] == 1
        else f"{label} [{row.space}, {row.builder}, {row.device}, {method[:4]}]"
        for method, (label, row) in rows.items()
    }
