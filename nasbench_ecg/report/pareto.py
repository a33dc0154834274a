"""The methods that no other one exceeds in F1 at no more cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nasbench_ecg.report.leaderboard import RANKED_BY, Row

FRONT_COSTS = {"parameters": "P", "macs": "M", "latency_1_ms": "L"}
"""Costs that have a front, with the letter that stands for each."""

FRONT_MARK = "◆"

FRONT_MEANING = (
    "On the front: no ranked method has a higher F1 with no more "
    "parameters (P), multiply-accumulates (M), latency (L)"
)


def with_fronts(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with the costs on whose front each lies.

    Only ranked rows take part, and only where two or more of them have the cost: a front of one
    tells nothing.
    """
    members = {cost: _front(rows, cost) for cost in FRONT_COSTS}
    return [
        replace(row, fronts=tuple(cost for cost, found in members.items() if i in found))
        for i, row in enumerate(rows)
    ]


def _front(rows: Sequence[Row], cost: str) -> set[int]:
    points = {
        i: (row.scores[RANKED_BY].mean, row.costs[cost])
        for i, row in enumerate(rows)
        if row.rank is not None and cost in row.costs
    }
    if len(points) < 2:
        return set()
    return {i for i, point in points.items() if not any(_beats(q, point) for q in points.values())}


def _beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Return whether ``a`` (F1, cost) is no worse than ``b`` in both and better in one."""
    return a != b and a[0] >= b[0] and a[1] <= b[1]


def front_letters(row: Row) -> str:
    """Return the letters of the costs on whose front a row lies, for example ``P M``."""
    return " ".join(letter for cost, letter in FRONT_COSTS.items() if cost in row.fronts)
