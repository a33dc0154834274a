"""What searches had found by then: best score so far, and hypervolume where there are two goals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import log
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.report.leaderboard.types import Leaderboard, Report
from nasbench_ecg.report.table import Cell, Table, text_table
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.text import amount, duration, percent

Effort = Literal["evaluations", "seconds"]
"""What the progress of a search is shown against."""

EFFORTS: tuple[Effort, ...] = get_args(Effort)
BEST = "best score"

_Steps = Sequence[tuple[float, float]]
"""Effort and value of each step of one search."""

_FEWEST_POINTS = 2
_MOST_COLUMNS = 7
_ROUND: dict[Effort, Sequence[int]] = {
    "evaluations": [step * 10**power for power in range(7) for step in (1, 2, 5)],
    "seconds": [1, 3, 10, 30, 60, 120, 300, 600, 1200, 3600, 7200, 18000, 36000, 86400, 432000],
}


@dataclass(frozen=True)
class Curve:
    """A quantity of several searches of one method against their effort.

    Attributes:
        method: Name of the method.
        quantity: :data:`BEST`, or ``hypervolume of score and`` a cost.
        effort: ``evaluations`` or ``seconds`` of the search.
        searches: Number of searches.
        points: Efforts at which the value of any search changes, ascending.
        mean: Mean over the searches at each point.
        low: Lower quartile.
        high: Upper quartile.
    """

    method: str
    quantity: str
    effort: Effort
    searches: int
    points: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def at(self, effort: float) -> int | None:
        """Return the index of the last point up to an effort, None before the first one."""
        found = int(np.searchsorted(self.points, effort, side="right")) - 1
        return found if found >= 0 else None


def best_curve(method: str, records: Sequence[RunRecord], effort: Effort) -> Curve | None:
    """Return the best score so far of searches, or of their own objective where that is no score.

    Returns:
        The curve; None if it would have fewer than two points.
    """
    return _curve(method, BEST, effort, [_best_steps(record, effort) for record in records])


def curves(report: Report, board: Leaderboard) -> list[Curve]:
    """Return the curves of the methods of a leaderboard, by quantity, effort and rank."""
    runs = {board.label(row): report.finished_runs(row) for row in board.rows}
    found = [best_curve(name, runs[name], effort) for effort in EFFORTS for name in runs]
    for cost in sorted(
        {cost for records in runs.values() for cost in map(_cost_of, records)} - {""}
    ):
        two = {name: [r for r in records if _cost_of(r) == cost] for name, records in runs.items()}
        for effort in EFFORTS:
            found += _volume_curves(two, cost, effort)
    return [curve for curve in found if curve is not None]


def _best_steps(record: RunRecord, effort: Effort) -> _Steps:
    return [
        (point[effort], point["best"])
        for point in record.trajectory
        if "best" in point and effort in point
    ]


def _curve(method: str, quantity: str, effort: Effort, searches: Sequence[_Steps]) -> Curve | None:
    """Return mean and quartiles; a curve starts where all searches have a value.

    A search keeps its last value after its end.
    """
    searches = [steps for steps in searches if steps]
    if not searches:
        return None
    start = max(steps[0][0] for steps in searches)
    points = sorted({at for steps in searches for at, _ in steps if at >= start})
    if len(points) < _FEWEST_POINTS:
        return None
    values = np.array([_values_at(steps, points) for steps in searches])
    low, high = np.quantile(values, [0.25, 0.75], axis=0)
    return Curve(
        method, quantity, effort, len(searches), tuple(points),
        tuple(values.mean(axis=0).tolist()), tuple(low.tolist()), tuple(high.tolist()),
    )  # fmt: skip


def _values_at(steps: _Steps, points: Sequence[float]) -> NDArray[np.float64]:
    at, values = np.array(steps).T
    found: NDArray[np.float64] = values[np.searchsorted(at, points, side="right") - 1]
    return found


# Two goals


def _cost_of(record: RunRecord) -> str:
    """Return the cost of a search with two goals, a high score and a low cost; else empty."""
    goals = record.search_details.get("objectives")
    if not isinstance(goals, list) or len(goals) != 2 or goals[0] != "score":
        return ""
    cost = str(goals[1])
    steps = _with_value(record)
    return cost if steps and all(point.get(cost, 0) > 0 for point in steps) else ""


def _with_value(record: RunRecord) -> list[dict[str, float]]:
    """Return the points of a search without candidates whose training diverged."""
    return [point for point in record.trajectory if "value" in point]


def _volume_curves(
    runs: Mapping[str, Sequence[RunRecord]], cost: str, effort: Effort
) -> Iterator[Curve | None]:
    """Yield the hypervolume of score and logarithm of the cost, by method.

    The reference point is the worst score and the largest cost of any candidate of these searches,
    and 1 is the volume of all their candidates together.
    """
    import moocore

    def goals(record: RunRecord) -> NDArray[np.float64]:
        return np.array([(-point["value"], log(point[cost])) for point in _with_value(record)])

    candidates = {id(record): goals(record) for records in runs.values() for record in records}
    together = np.concatenate(list(candidates.values()))
    indicator = moocore.Hypervolume(ref=together.max(axis=0))
    whole = float(indicator(together)) or 1.0

    def steps(record: RunRecord) -> _Steps:
        found = candidates[id(record)]
        efforts = accumulate((point[effort] for point in _with_value(record)), max)
        return [(at, float(indicator(found[:n])) / whole) for n, at in enumerate(efforts, 1)]

    quantity = f"hypervolume of score and {cost.replace('_', ' ')}"
    for method, records in runs.items():
        yield _curve(method, quantity, effort, [steps(record) for record in records])


# Tables


def tables(found: Sequence[Curve]) -> list[Table]:
    """Return one table for each quantity and effort: rows are methods, columns efforts."""
    groups: dict[tuple[str, Effort], list[Curve]] = {}
    for curve in found:
        groups.setdefault((curve.quantity, curve.effort), []).append(curve)
    quantities = [quantity for quantity, _ in groups]
    return [
        _table(quantity, effort, group, noted=quantity not in quantities[i + 1 :])
        for i, ((quantity, effort), group) in enumerate(groups.items())
    ]


def _table(quantity: str, effort: Effort, group: Sequence[Curve], *, noted: bool) -> Table:
    columns = _columns(group, effort)
    show = percent if quantity == BEST else "{:.3f}".format
    rows: list[tuple[Cell | str, ...]] = []
    for curve in group:
        cells: list[Cell | str] = [curve.method, str(curve.searches)]
        for effort_ in columns:
            i = curve.at(effort_)
            cells.append(
                Cell()
                if i is None
                else Cell(
                    show(curve.mean[i]),
                    curve.mean[i],
                    interval=(show(curve.low[i]), show(curve.high[i]))
                    if curve.searches > 1
                    else None,
                )
            )
        rows.append(tuple(cells))
    headings = [duration(at) if effort == "seconds" else amount(at) for at in columns]
    against = "seconds of search" if effort == "seconds" else "evaluations"
    return text_table(
        f"{quantity[0].upper()}{quantity[1:]} so far against {against}",
        ["method", "n", *headings],
        rows,
        [meaning(quantity)] if noted else [],
    )


def meaning(quantity: str) -> str:
    """Return what a quantity is, in sentences."""
    over = "Mean and quartiles over n searches; a search keeps its last value after its end."
    if quantity == BEST:
        return (
            "Best validation score so far, or best value of the strategy's own objective, in "
            f"percent. {over} Strategies train their candidates for different times, so compare "
            "values within a method only."
        )
    return (
        "Hypervolume of validation score and logarithm of the cost; 1 is the volume of all "
        f"candidates of these searches together. {over}"
    )


def _columns(group: Sequence[Curve], effort: Effort) -> list[float]:
    """Return round efforts between the first and the last point of any curve, and the last one."""
    first = min(curve.points[0] for curve in group)
    last = max(curve.points[-1] for curve in group)
    chosen = [float(at) for at in _ROUND[effort] if first <= at < 0.9 * last]
    return [*chosen[-(_MOST_COLUMNS - 1) :], last]
