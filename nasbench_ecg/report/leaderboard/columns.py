"""The columns of leaderboards: one list for terminal, Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nasbench_ecg.report.leaderboard.comparisons import PARETO_COSTS
from nasbench_ecg.report.leaderboard.score_columns import (
    fold_columns,
    over_published_column,
    over_random_column,
    own_score_column,
    patients_column,
    runs_column,
    score_columns,
)
from nasbench_ecg.report.leaderboard.types import (
    ALL_FORMATS,
    CSV_ONLY,
    Format,
    Leaderboard,
    LeaderboardColumn,
    Row,
)
from nasbench_ecg.report.measures import COSTS, SECONDS, Measure
from nasbench_ecg.report.table import Cell, Column
from nasbench_ecg.text import amount, seeds_text


def pareto_meaning(board: Leaderboard) -> str:
    """Return what it means to be on a Pareto front of ``board``."""
    return (
        f"no ranked method has a higher {board.score_name} with no more "
        "parameters (P), multiply-accumulates (M), latency (L)"
    )


def leaderboard_columns(board: Leaderboard, form: Format) -> list[LeaderboardColumn]:
    """Return the columns of a leaderboard in one format; tables have no empty ones."""
    columns = [column for column in _columns(board) if form in column.formats]
    if form == "csv":
        return columns
    return [
        column
        for column in columns
        if any(column.ours(row).text for row in board.rows)
        or any(column.theirs(published).text for published in board.published)
    ]


def _columns(board: Leaderboard) -> list[LeaderboardColumn]:
    searched = any(row.evaluations for row in board.rows)
    return [
        _rank_column(board),
        _method_column(board),
        _n_seeds_column(),
        *score_columns(board),
        *fold_columns(board),
        patients_column(board, priority=5),
        runs_column(board, priority=14),
        over_random_column(priority=7),
        over_published_column(priority=6),
        _cost(COSTS["parameters"], priority=2),
        _cost(COSTS["macs"], priority=11),
        _cost(COSTS["latency_1_ms"], priority=12),
        _pareto_column(board, priority=13),
        _evaluations_column(formats=ALL_FORMATS if searched else CSV_ONLY, priority=15),
        _seconds(SECONDS["search"], priority=3),
        _seconds(SECONDS["evaluation"], priority=10),
        *_other_measures(board),
    ]


def _rank_column(board: Leaderboard) -> LeaderboardColumn:
    def ours(row: Row) -> Cell:
        if row.rank is None:
            return Cell("–")
        low, high = row.rank_interval or (row.rank, row.rank)
        return Cell(str(row.rank), row.rank, note="" if low == high else f"{low}–{high}")

    def values(row: Row) -> Mapping[str, Any]:
        low, high = row.rank_interval or (None, None)
        return {"rank": row.rank, "rank_low": low, "rank_high": high}

    meaning = f"rank by mean {board.score_name}, and the ranks that the paired tests leave open"
    return LeaderboardColumn(Column("#", meaning), ours, values=values)


def _method_column(board: Leaderboard) -> LeaderboardColumn:
    def ours(row: Row) -> Cell:
        in_part = dict(row.folds.missing) if row.folds else {}
        seeds = [seed for seed in row.missing if seed not in in_part]
        notes = [f"incomplete: no {seeds_text(seeds)}"] if seeds else []
        notes += _missing_folds(row)
        notes += [f"{count} {status}" for status, count in row.runs_without_result.items()]
        return Cell(row.strategy, details=tuple(board.details(row)), note="; ".join(notes))

    return LeaderboardColumn(
        Column("method", "strategy, with what distinguishes it from others", numeric=False),
        ours,
        lambda figure: Cell(figure.label, note=f"published: {figure.citation}"),
        values=lambda row: {"method": board.label(row)},
        their_values=lambda figure: {"method": figure.label, "source": figure.citation},
    )


def _missing_folds(row: Row) -> list[str]:
    """Return which folds a row lacks, as text for each seed."""
    if row.folds is None:
        return []
    several = len(row.folds.missing) > 1 or bool(row.seeds)
    return [
        f"incomplete: no fold {', '.join(map(str, folds))} of {row.folds.k}"
        + (f" for {seeds_text([seed])}" if several else "")
        for seed, folds in row.folds.missing
    ]


def _n_seeds_column() -> LeaderboardColumn:
    return LeaderboardColumn(
        Column("n", "number of seeds"),
        lambda row: Cell(str(len(row.seeds)), len(row.seeds)),
        values=lambda row: {"n": len(row.seeds)},
    )


def _cost(
    measure: Measure, *, priority: int = 0, formats: frozenset[Format] = ALL_FORMATS
) -> LeaderboardColumn:
    return _plain(measure, "cost", lambda row: row.costs, priority, formats)


def _seconds(
    measure: Measure, *, priority: int = 0, formats: frozenset[Format] = ALL_FORMATS
) -> LeaderboardColumn:
    return _plain(measure, "seconds", lambda row: row.seconds, priority, formats)


def _plain(
    measure: Measure,
    prefix: str,
    read: Callable[[Row], Mapping[str, float]],
    priority: int,
    formats: frozenset[Format],
) -> LeaderboardColumn:
    def ours(row: Row) -> Cell:
        value = read(row).get(measure.name)
        return Cell() if value is None else Cell(measure.show(value), value)

    return LeaderboardColumn(
        Column(measure.heading, measure.meaning, best="low", priority=priority),
        ours,
        values=lambda row: {f"{prefix}_{measure.name}": read(row).get(measure.name)},
        formats=formats,
    )


def _pareto_column(board: Leaderboard, priority: int) -> LeaderboardColumn:
    def ours(row: Row) -> Cell:
        letters = " ".join(PARETO_COSTS[cost] for cost in row.pareto_costs)
        return Cell(letters, len(row.pareto_costs)) if letters else Cell()

    return LeaderboardColumn(
        Column(
            "Pareto", f"costs for which {pareto_meaning(board)}", best="high", priority=priority
        ),
        ours,
        values=lambda row: {"pareto_front": " ".join(row.pareto_costs)},
    )


def _evaluations_column(formats: frozenset[Format], priority: int) -> LeaderboardColumn:
    def ours(row: Row) -> Cell:
        n = row.evaluations
        return Cell() if n is None else Cell(amount(n), n)

    return LeaderboardColumn(
        Column("evals", "candidates that the search evaluated", priority=priority),
        ours,
        values=lambda row: {"evaluations": row.evaluations},
        formats=formats,
    )


def _other_measures(board: Leaderboard) -> Iterable[LeaderboardColumn]:
    """Yield the columns that only CSV files have: every other score, cost and duration."""

    def other(name: str, measures: Mapping[str, Measure]) -> Measure:
        return measures.get(name) or Measure(name, name, name, name, str)

    def names(read: Callable[[Row], Mapping[str, Any]]) -> list[str]:
        return sorted({name for row in board.rows for name in read(row)})

    published = {name for figure in board.published for name in figure.scores}
    for name in sorted(published.union(names(lambda row: row.scores))):
        yield own_score_column(name, formats=CSV_ONLY)
    for name in names(lambda row: row.costs):
        yield _cost(other(name, COSTS), formats=CSV_ONLY)
    for name in names(lambda row: row.seconds):
        yield _seconds(other(name, SECONDS), formats=CSV_ONLY)
