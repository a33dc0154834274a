"""The columns of leaderboards that show scores, and what they are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasbench_ecg.report.leaderboard.published import Published
from nasbench_ecg.report.leaderboard.types import (
    ALL_FORMATS,
    Format,
    Leaderboard,
    LeaderboardColumn,
    Row,
)
from nasbench_ecg.report.measures import GROSS_SCORES, OWN_SCORE, RANKED_BY, SCORES, Measure
from nasbench_ecg.report.table import Cell, Column
from nasbench_ecg.statistics import MIN_VALUES_FOR_INTERVAL
from nasbench_ecg.text import difference, percent


def score_columns(board: Leaderboard) -> list[LeaderboardColumn]:
    """Return the scores of heartbeat classification, or the evaluator's own scores instead.

    An evaluator's own score and metrics come first where the score ranks. Between patients, gross
    scores of S and V take the place of macro +P, as in the literature.
    """
    if board.ranked_by == OWN_SCORE:
        measured = {name for row in board.rows for name in row.scores}
        usual = measured & {*SCORES, *GROSS_SCORES}
        own = sorted(measured - usual - {OWN_SCORE})
        shown = [name for name in SCORES if name in usual]
        return [
            own_score_column(OWN_SCORE),
            *_own_score_columns(own),
            *(_score(SCORES[name], priority=4 + i) for i, name in enumerate(shown)),
        ]
    measured = {name for row in board.rows for name in row.scores}
    if measured and RANKED_BY not in measured:
        return _own_score_columns(sorted(measured))
    f1 = _score(SCORES[RANKED_BY], interval=True)
    if board.track.protocol.startswith("inter-patient"):
        gross = [_score(measure, priority=4 + i) for i, measure in enumerate(GROSS_SCORES.values())]
        macro_se = _score(SCORES["macro_se"], priority=14)
        return [f1, _score(SCORES["accuracy"], priority=1), macro_se, *gross]
    macros = ("accuracy", "macro_se", "macro_pp")
    priorities = (1, 4, 5)  # two costs are between them
    return [f1, *map(_score_at, macros, priorities)]


def _score_at(name: str, priority: int) -> LeaderboardColumn:
    return _score(SCORES[name], priority=priority)


def fold_columns(board: Leaderboard) -> list[LeaderboardColumn]:
    """Return the mean and spread over folds: of the score that ranks, in CSV files of all scores.

    Empty if the protocol of the board has no folds.
    """
    if not any(row.folds for row in board.rows):
        return []
    shown = board.ranked_by if board.ranked_by in SCORES else "accuracy"

    def ours(row: Row) -> Cell:
        found = row.folds.spread.get(shown) if row.folds else None
        if found is None:
            return Cell()
        spread = "" if found.sd is None else f"± {percent(found.sd)}"
        return Cell(percent(found.mean), found.mean, spread=spread)

    heading = f"{SCORES[shown].heading} folds"
    meaning = f"{SCORES[shown].label} of single folds: mean ± standard deviation, in percent"
    return [
        LeaderboardColumn(
            Column(heading, meaning, best="high", priority=5), ours, values=_fold_values
        )
    ]


def _fold_values(row: Row) -> dict[str, Any]:
    """Return the folds of a row as CSV files have them: their number, those missing, the spread."""
    if row.folds is None:
        return {}
    missing = [
        f"{search}/{final}:{fold}" for (search, final), folds in row.folds.missing for fold in folds
    ]
    values: dict[str, Any] = {"folds": row.folds.k, "folds_missing": " ".join(missing)}
    for name, found in sorted(row.folds.spread.items()):
        values |= {f"{name}_folds_mean": found.mean, f"{name}_folds_sd": found.sd}
    return values


def _score(measure: Measure, *, interval: bool = False, priority: int = 0) -> LeaderboardColumn:
    def ours(row: Row) -> Cell:
        summary = row.scores.get(measure.name)
        if summary is None:
            return Cell()
        ends = summary.interval if interval else None
        of_all = summary.n == len(row.seeds)
        return Cell(
            percent(summary.mean),
            summary.mean if of_all else None,  # not compared with means over all seeds
            spread="" if summary.sd is None else f"± {percent(summary.sd)}",
            interval=(percent(ends[0]), percent(ends[1])) if ends else None,
            note="" if of_all else _few_seeds(summary.n, row),
        )

    def theirs(figure: Published) -> Cell:
        value = figure.scores.get(measure.name)
        return Cell() if value is None else Cell(percent(value), value)

    return LeaderboardColumn(
        Column(measure.heading, measure.meaning, best="high", priority=priority),
        ours,
        theirs,
        values=lambda row: _summary_values(row, measure.name),
        their_values=lambda figure: _published_value(figure, measure.name),
    )


def _few_seeds(n: int, row: Row) -> str:
    return f"{n} of {len(row.seeds)} seeds have it"


def _own_score_columns(names: Sequence[str]) -> list[LeaderboardColumn]:
    return [
        own_score_column(name, priority=1 + i if i < 3 else 20 + i) for i, name in enumerate(names)
    ]


def own_score_column(
    name: str, *, priority: int = 0, formats: frozenset[Format] = ALL_FORMATS
) -> LeaderboardColumn:
    """Return the column of a score that has no entry in :data:`SCORES`."""

    def ours(row: Row) -> Cell:
        summary = row.scores.get(name)
        if summary is None:
            return Cell()
        spread = "" if summary.sd is None else f"± {summary.sd:.2g}"
        ends = summary.interval if name == OWN_SCORE else None
        of_all = summary.n == len(row.seeds)
        return Cell(
            f"{summary.mean:.4g}",
            summary.mean if of_all else None,
            spread=spread,
            interval=(f"{ends[0]:.4g}", f"{ends[1]:.4g}") if ends else None,
            note="" if of_all else _few_seeds(summary.n, row),
        )

    column = Column(name, f"{name}, a score of this evaluator", priority=priority)
    if name == OWN_SCORE:
        column = Column(
            "score", "the evaluator's own score, larger is better", best="high", priority=priority
        )
    return LeaderboardColumn(
        column,
        ours,
        values=lambda row: _summary_values(row, name),
        their_values=lambda figure: _published_value(figure, name),
        formats=formats,
    )


def _summary_values(row: Row, name: str) -> Mapping[str, float | None]:
    """Return the columns of a score; its number of runs if some runs of the row do not have it."""
    summary = row.scores.get(name)
    if summary is None:
        return {}
    low, high = summary.interval or (None, None)
    return {
        **({f"{name}_n": summary.n} if summary.n < len(row.seeds) else {}),
        f"{name}_mean": summary.mean,
        f"{name}_sd": summary.sd,
        f"{name}_low": low,
        f"{name}_high": high,
    }


def _published_value(figure: Published, name: str) -> Mapping[str, float]:
    return {f"{name}_mean": figure.scores[name]} if name in figure.scores else {}


def patients_column(board: Leaderboard, priority: int) -> LeaderboardColumn:
    """Return the column with the interval over the persons of the test part."""

    def ours(row: Row) -> Cell:
        found = row.patients
        if found is None:
            return Cell()
        return Cell(f"{percent(found.low)}–{percent(found.high)}", found.low)

    def values(row: Row) -> Mapping[str, Any]:
        found = row.patients
        low, high, n = (found.low, found.high, found.n_persons) if found else (None, None, None)
        return {"patients_low": low, "patients_high": high, "patients": n}

    meaning = f"95% interval of the mean {board.score_name} over the persons of the test part"
    return LeaderboardColumn(
        Column("over patients", meaning, priority=priority), ours, values=values
    )


def runs_column(board: Leaderboard, priority: int) -> LeaderboardColumn:
    """Return the column with the single runs of methods that have too few for an interval."""

    def shown(row: Row) -> list[str]:
        usual = board.ranked_by == RANKED_BY
        return [percent(value) if usual else f"{value:.4g}" for value in row.score_by_seed]

    def ours(row: Row) -> Cell:
        several = len(row.score_by_seed) > 1
        few = len(row.score_by_search) < MIN_VALUES_FOR_INTERVAL
        return Cell(", ".join(shown(row))) if several and few else Cell()

    def values(row: Row) -> Mapping[str, Any]:
        return {"runs": " ".join(f"{value:.10g}" for value in row.score_by_seed)}

    column = Column("runs", f"{board.score_name} of each run, by seed", priority=priority)
    return LeaderboardColumn(column, ours, values=values)


def over_random_column(priority: int) -> LeaderboardColumn:
    """Return the column with the improvement over random architectures."""

    def ours(row: Row) -> Cell:
        gain = row.improvement
        if gain is None:
            return Cell()
        ends = gain.interval
        return Cell(
            f"{difference(gain.relative)} %",
            gain.relative,
            interval=(difference(ends[0]), difference(ends[1])) if ends else None,
        )

    def values(row: Row) -> Mapping[str, Any]:
        if row.improvement is None:
            return {}
        low, high = row.improvement.interval or (None, None)
        return {
            "over_random_mean": row.improvement.relative,
            "over_random_low": low,
            "over_random_high": high,
        }

    meaning = "relative improvement of F1 over random architectures with the same training recipe"
    column = Column("vs random", meaning, best="high", priority=priority)
    return LeaderboardColumn(column, ours, values=values)


def over_published_column(priority: int) -> LeaderboardColumn:
    """Return the column with the difference from the published score of the same method."""

    def gain(row: Row) -> tuple[float, float] | None:
        theirs = row.published.scores.get(RANKED_BY) if row.published else None
        if theirs is None or RANKED_BY not in row.scores:
            return None
        return row.scores[RANKED_BY].mean, theirs

    def ours(row: Row) -> Cell:
        found = gain(row)
        return Cell() if found is None else Cell(difference(*found), found[0] - found[1])

    def values(row: Row) -> Mapping[str, Any]:
        found = gain(row)
        return {} if found is None else {"over_published": found[0] - found[1]}

    meaning = "difference of F1 from the published score of the same method, in points"
    column = Column("vs publ.", meaning, best="high", priority=priority)
    return LeaderboardColumn(column, ours, values=values)
