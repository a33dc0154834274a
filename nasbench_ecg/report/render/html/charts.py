"""The plots of the page: F1 against costs, progress of searches, critical differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil

from nasbench_ecg.report.leaderboard.anytime import BEST, Curve, Effort
from nasbench_ecg.report.leaderboard.types import Leaderboard, Row
from nasbench_ecg.report.measures import COSTS, RANKED_BY
from nasbench_ecg.report.render.html import svg
from nasbench_ecg.report.statistics.datasets import CriticalDifference
from nasbench_ecg.report.table import Chart
from nasbench_ecg.statistics import MIN_VALUES_FOR_INTERVAL
from nasbench_ecg.text import duration, percent

_COST_LABELS = {
    "parameters": "trainable parameters",
    "macs": "multiply-accumulates per beat",
    "flash_bytes": "bytes of flash in int8",
    "latency_1_ms": "latency of one beat, ms",
    "total": "seconds of search and training",
}
_DURATIONS = ("latency_1_ms", "total")
_MIN_POINTS = 2


def f1_against_costs(
    board: Leaderboard,
    numbers: Mapping[str, int],
    costs: Mapping[str, str] = _COST_LABELS,
    *,
    front_of_all: bool = False,
) -> list[Chart]:
    """Return a plot of F1 against each cost that differs between two methods or more.

    Args:
        board: The leaderboard.
        numbers: Number of each method, which sets its color and shape.
        costs: The costs, with the label of their axis.
        front_of_all: Whether methods without a rank take part in the Pareto front.

    Returns:
        The plots, each with a note on the lines and bars that it has.
    """
    charts = []
    for name, label in costs.items():
        show = COSTS[name].show if name in COSTS else duration
        points = [
            (row, cost)
            for row in board.rows
            if RANKED_BY in row.scores and (cost := _cost(row, name)) is not None
        ]
        if len(points) < _MIN_POINTS or len({cost for _, cost in points}) == 1:
            continue
        ends = [end for row, _ in points for end in _ends(row)]
        published = 100 * max((f.scores.get(RANKED_BY, 0.0) for f in board.published), default=0.0)
        x = svg.horizontal(label, [cost for _, cost in points], log=True)
        y = svg.vertical("F1, %", [*(100 * end for end in ends), *([published] * bool(published))])
        comparable = name not in _DURATIONS or len(board.processors) < 2
        on_front = [p for p in points if comparable and (front_of_all or p[0].rank is not None)]
        marks = [_front(on_front, x, y)] if on_front else []
        if published:
            at = y.place(published)
            marks.append(svg.path([(x.start, at), (x.end, at)], "published"))
        for row, cost in points:
            method = board.label(row)
            at = x.place(cost)
            if interval := row.scores[RANKED_BY].interval:
                low, high = (y.place(100 * end) for end in interval)
                marks.append(svg.line(numbers[method], [(at, low), (at, high)], "interval"))
            elif len(row.score_by_seed) > 1:
                places = [y.place(100 * value) for value in row.score_by_seed]
                marks += [svg.dot(numbers[method], at, place) for place in places]
            figure = percent(row.scores[RANKED_BY].mean)
            marks.append(
                svg.mark(
                    numbers[method],
                    at,
                    y.place(100 * row.scores[RANKED_BY].mean),
                    f"{method}: F1 {figure}, {show(cost)}",
                )
            )
        if published:
            drawn_at = [
                (x.place(cost), y.place(100 * row.scores[RANKED_BY].mean)) for row, cost in points
            ]
            marks.append(_published_label(x, y.place(published), drawn_at))
        drawn = svg.plot(x, y, marks, description=f"F1 against {label}")
        methods = tuple(board.label(row) for row, _ in points)
        front = (
            "" if not on_front else "of all methods" if front_of_all else "of the ranked methods"
        )
        note = _note([row for row, _ in points], front, bool(published), comparable)
        charts.append(Chart(label, drawn, methods, tuple(numbers[m] for m in methods), note))
    return charts


def _note(rows: Sequence[Row], front: str, published: bool, comparable: bool) -> str:
    """Return what the lines and bars of a plot are, in sentences, of those that it has."""
    intervals = any(row.scores[RANKED_BY].interval for row in rows)
    single = any(
        row.scores[RANKED_BY].interval is None and len(row.score_by_seed) > 1 for row in rows
    )
    sentences = [
        "Bars: 95% intervals over seeds." if intervals else "",
        f"Dots: single runs, of methods with fewer than {MIN_VALUES_FOR_INTERVAL}." * single,
        f"Dashed: Pareto front {front}." if front else "",
        "Dotted: the best published F1." if published else "",
        "" if comparable else "Measured on several processors: do not compare.",
    ]
    return " ".join(filter(None, sentences))


def _published_label(x: svg.Axis, at: float, places: Sequence[tuple[float, float]]) -> str:
    """Return the name of the line of published scores, at its end with fewer marks nearby."""
    words = "best published"
    width = svg.text_width(words) + 4

    def near(end: float) -> int:
        return sum(abs(left - end) < width and -24 < up - at < 8 for left, up in places)

    if near(x.start) < near(x.end):
        return svg.text(x.start + 4, at - 5, words, "published over")
    return svg.text(x.end - 4, at - 5, words, "published over end")


def _cost(row: Row, name: str) -> float | None:
    if name == "total":
        parts = [row.seconds[part] for part in ("search", "evaluation") if part in row.seconds]
        return sum(parts) if parts else None
    return row.costs.get(name)


def _ends(row: Row) -> tuple[float, float]:
    summary = row.scores[RANKED_BY]
    if summary.interval is None:
        return summary.worst, summary.best
    return min(summary.worst, summary.interval[0]), max(summary.best, summary.interval[1])


def _front(points: Sequence[tuple[Row, float]], x: svg.Axis, y: svg.Axis) -> str:
    """Return the Pareto front of these methods as a staircase."""
    stairs: list[tuple[float, float]] = []
    best = -1.0
    for row, cost in sorted(points, key=lambda p: (p[1], -p[0].scores[RANKED_BY].mean)):
        mean = row.scores[RANKED_BY].mean
        if mean > best:
            at = x.place(cost)
            stairs += [(at, stairs[-1][1] if stairs else y.start), (at, y.place(100 * mean))]
            best = mean
    return svg.path([*stairs, (x.end, stairs[-1][1])], "front") if stairs else ""


def search_progress(curves: Sequence[Curve], numbers: Mapping[str, int]) -> list[Chart]:
    """Return a plot of each quantity against each effort: mean and quartiles of each method.

    Args:
        curves: The curves of a leaderboard.
        numbers: Number of each method.
    """
    groups: dict[tuple[str, Effort], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.quantity, curve.effort), []).append(curve)
    return [
        _progress(quantity, effort, group, numbers) for (quantity, effort), group in groups.items()
    ]


def _progress(
    quantity: str, effort: Effort, group: Sequence[Curve], numbers: Mapping[str, int]
) -> Chart:
    factor, unit = (100, ", %") if quantity == BEST else (1, "")
    against = "seconds of search" if effort == "seconds" else "evaluations"
    ends = [factor * end for curve in group for end in (*curve.low, *curve.high, *curve.mean)]
    least = 0.1 if effort == "seconds" else 0.0
    places = [max(at, least) for curve in group for at in curve.points]
    x = svg.horizontal(against, places, log=effort == "seconds")
    y = svg.vertical(f"{quantity} so far{unit}", ends)
    bands, lines = [], []
    for curve in group:
        at = [x.place(max(point, least)) for point in curve.points]
        number = numbers[curve.method]
        low, middle, high = (
            _stairs(at, [y.place(factor * value) for value in values])
            for values in (curve.low, curve.mean, curve.high)
        )
        figure = f"{factor * curve.mean[-1]:.4g}"
        label = f"{curve.method}: {quantity} {figure}{unit[1:]}, n = {curve.searches}"
        if curve.searches > 1:
            bands.append(svg.area(number, [*low, *reversed(high)]))
        lines.append(svg.line(number, middle, "curve", label))
        lines.append(svg.mark(number, *middle[-1], label))
    description = f"{quantity} so far against {against}"
    drawn = svg.plot(x, y, [*bands, *lines], description=description)
    methods = tuple(curve.method for curve in group)
    return Chart(description, drawn, methods, tuple(numbers[name] for name in methods))


def _stairs(at: Sequence[float], places: Sequence[float]) -> list[tuple[float, float]]:
    points = [(at[0], places[0])]
    for x, (before, now) in zip(at[1:], pairwise(places), strict=True):
        points += [(x, before), (x, now)]
    return points


def critical_difference(found: CriticalDifference, numbers: Mapping[str, int]) -> str:
    """Return average ranks on a line, best left; bars join methods that do not differ."""
    k = len(found.methods)
    height = 78 + 17 * k + 9 * len(found.groups)
    labels = [f"{m} {rank:.2f}" for m, rank in zip(found.methods, found.ranks, strict=True)]
    longest = max(map(svg.text_width, labels)) * svg.PHONE_TEXT
    width = max(svg.WIDTH, 2 * (ceil(longest) + 8))  # a name ends on its half or on the other one
    axis = svg.Axis("average rank", 1.0, float(k), 24, width - 24)
    line_at, bars_at = 46.0, 58.0
    parts = [svg.path([(axis.start, line_at), (axis.end, line_at)], "axis")]
    for whole in range(1, k + 1):
        at = axis.place(whole)
        parts.append(svg.path([(at, line_at - 4), (at, line_at)], "axis"))
        parts.append(svg.text(at, line_at - 9, str(whole), "tick"))
    end = min(axis.place(1 + found.difference), width - 4.0)
    parts.append(svg.path([(axis.start, 16), (end, 16)], "bar"))
    parts.append(svg.text(axis.start, 10, f"critical difference {found.difference:.2f}", "start"))
    for place, (first, last) in enumerate(found.groups):
        at = bars_at + 9 * place
        ends = [(axis.place(found.ranks[i]) + side, at) for i, side in ((first, -4), (last, 4))]
        parts.append(svg.path(ends, "bar"))
    names_at = bars_at + 9 * len(found.groups) + 14
    stems, names = [], []
    for i, (method, label) in enumerate(zip(found.methods, labels, strict=True)):
        at, below, number = axis.place(found.ranks[i]), names_at + 17 * i, numbers.get(method, 0)
        side, anchor = (-7, "end") if at > width / 2 else (7, "start")
        stem = svg.path([(at, line_at), (at, below - 4)], "stem")
        name = svg.text(at + side, below, label, f"{anchor} over")
        stems.append(svg.group(method, stem))
        names.append(svg.group(method, svg.mark(number, at, line_at) + name))
    description = "Average ranks with their critical difference"
    return svg.document(width, height, [*stems, *parts, *names], description)
