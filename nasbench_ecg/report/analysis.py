"""What a board's rows say together: intervals of ranks, tests, gains over chance, fronts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nasbench_ecg.plugin.specs import FLOOR
from nasbench_ecg.report.leaderboard import RANKED_BY, Leaderboard, Row
from nasbench_ecg.report.pareto import with_fronts
from nasbench_ecg.report.statistics import (
    CriticalDifference,
    Improvement,
    compare_all,
    critical_difference,
    improvement,
    rank_intervals,
)


def with_verdicts(board: Leaderboard) -> Leaderboard:
    """Return the board with what two rows or more can be told by; ranked rows come first."""
    ranked = [row for row in board.rows if row.rank is not None]
    rest = board.rows[len(ranked) :]
    values = [row.values for row in ranked]
    if intervals := rank_intervals(values):
        ranked = [
            replace(row, rank_interval=interval)
            for row, interval in zip(ranked, intervals, strict=True)
        ]
    several = len(board.seeds) > 1
    rows = with_fronts([*ranked, *rest])
    return replace(
        board,
        rows=tuple(replace(row, improvement=_over_random(row, board.rows)) for row in rows),
        comparisons=tuple(compare_all(values)) if several else (),
    )


def random_row(row: Row, rows: Sequence[Row]) -> Row | None:
    """Return the row of random architectures that ``row`` is to be measured by.

    It chose among the same architectures and trained them by the same recipe; of several, it is the
    one that evaluated the fewest candidates before it chose: the nearest to a plain random draw.
    """
    fitting = [
        other
        for other in rows
        if other.strategy == FLOOR
        and (other.searched, other.recipe) == (row.searched, row.recipe)
        and other.values
        and sum(other.values) > 0
    ]
    if not fitting:
        return None
    return min(fitting, key=lambda other: (other.evaluations or 0.0, other.run_keys))


def _over_random(row: Row, rows: Sequence[Row]) -> Improvement | None:
    chance = random_row(row, rows)
    if chance is None or chance.run_keys == row.run_keys or not row.values:
        return None
    return improvement(row.values, chance.values)


def across_datasets(boards: Sequence[Leaderboard]) -> dict[str, CriticalDifference]:
    """Return the critical differences of the methods that were run on several datasets.

    Datasets are taken together that share protocol, profile and evaluator; of several boards of
    one track the first counts. Methods that lack a rank on one of the datasets are left out, and
    named.

    Returns:
        By protocol, profile and evaluator, joined by ``·``.
    """
    together: dict[str, dict[str, Leaderboard]] = {}
    for board in boards:
        track = board.track
        name = " · ".join([track.protocol, track.profile, track.evaluator])
        together.setdefault(name, {}).setdefault(track.dataset, board)
    found = {}
    for name, by_dataset in together.items():
        scores = {dataset: _ranked_scores(board) for dataset, board in by_dataset.items()}
        scores = {dataset: some for dataset, some in scores.items() if some}
        methods = sorted(set.intersection(*map(set, scores.values()))) if scores else []
        table = [[some[method] for method in methods] for some in scores.values()]
        result = critical_difference(table, methods, list(scores))
        if result is not None:
            lacking = sorted(set[str]().union(*scores.values()) - set(methods))
            found[name] = replace(
                result,
                left_out=tuple(
                    (method, tuple(on for on, some in scores.items() if method not in some))
                    for method in lacking
                ),
            )
    return found


def _ranked_scores(board: Leaderboard) -> dict[str, float]:
    return {
        board.label(row): row.scores[RANKED_BY].mean for row in board.rows if row.rank is not None
    }
