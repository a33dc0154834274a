"""The columns of leaderboards: one list for terminal, Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nasbench_ecg.report.analysis import PARETO_COSTS
from nasbench_ecg.report.folds import fold_values, missing_folds
from nasbench_ecg.report.leaderboard import OWN_SCORE, RANKED_BY, Leaderboard, Row
from nasbench_ecg.report.measures import COSTS, GROSS_SCORES, SCORES, SECONDS, Measure
from nasbench_ecg.report.published import Published
from nasbench_ecg.report.statistics import Summary
from nasbench_ecg.report.table import Cell, Column
from nasbench_ecg.statistics import MIN_VALUES_FOR_INTERVAL
from nasbench_ecg.text import amount, difference, percent, seeds_text

Format = Literal["terminal", "markdown", "latex", "html", "csv"]
_TABLES: frozenset[Format] = frozenset({"terminal", "markdown", "latex", "html"})
_ALL: frozenset[Format] = _TABLES | {"csv"}
_CSV: frozenset[Format] = frozenset({"csv"})


def _no_cell(_: Any) -> Cell:
    return Cell()


def _no_values(_: Any) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class LeaderboardColumn:
    """A column of a leaderboard: how it gets its values, how it shows them, and where.

    Attributes:
        column: Heading, meaning, alignment and priority.
        ours: Cell of one of our rows.
        theirs: Cell of a published method.
        values: Unrounded values of one of our rows, by their names in CSV files.
        their_values: The same of a published method.
        formats: Formats that have the column.
    """

    column: Column
    ours: Callable[[Row], Cell]
    theirs: Callable[[Published], Cell] = _no_cell
    values: Callable[[Row], Mapping[str, Any]] = _no_values
    their_values: Callable[[Published], Mapping[str, Any]] = _no_values
    formats: frozenset[Format] = _ALL


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
        *_score_columns(board),
        *_fold_columns(board),
        _patients_column(board, priority=5),
        _runs_column(board, priority=14),
        _over_random_column(priority=7),
        _over_published_column(priority=6),
        _cost(COSTS["parameters"], priority=2),
        _cost(COSTS["macs"], priority=11),
        _cost(COSTS["latency_1_ms"], priority=12),
        _pareto_column(board, priority=13),
        _evaluations_column(formats=_ALL if searched else _CSV, priority=15),
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
        seeds = [seed for seed in row.missing if row.folds is None or seed not in row.folds.missing]
        notes = [f"incomplete: no {seeds_text(seeds)}"] if seeds else []
        notes += missing_folds(row)
        notes += [f"{count} {status}" for status, count in row.runs_without_result.items()]
        return Cell(row.strategy, details=tuple(board.details(row)), note="; ".join(notes))

    return LeaderboardColumn(
        Column("method", "strategy, with what distinguishes it from others", numeric=False),
        ours,
        lambda figure: Cell(figure.label, note=f"published: {figure.citation}"),
        values=lambda row: {"method": board.label(row)},
        their_values=lambda figure: {"method": figure.label, "source": figure.citation},
    )


def _n_seeds_column() -> LeaderboardColumn:
    return LeaderboardColumn(
        Column("n", "number of seeds"),
        lambda row: Cell(str(len(row.seeds)), len(row.seeds)),
        values=lambda row: {"n": len(row.seeds)},
    )


def _score_columns(board: Leaderboard) -> list[LeaderboardColumn]:
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
            _own_score(OWN_SCORE),
            *(_own_score(name, priority=1 + i if i < 3 else 20 + i) for i, name in enumerate(own)),
            *(_score(SCORES[name], priority=4 + i) for i, name in enumerate(shown)),
        ]
    if not any(RANKED_BY in row.scores for row in board.rows):
        names = sorted({name for row in board.rows for name in row.scores})
        return [
            _own_score(name, priority=1 + i if i < 3 else 20 + i) for i, name in enumerate(names)
        ]
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


def _fold_columns(board: Leaderboard) -> list[LeaderboardColumn]:
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
            Column(heading, meaning, best="high", priority=5), ours, values=fold_values
        )
    ]


def _score(measure: Measure, *, interval: bool = False, priority: int = 0) -> LeaderboardColumn:
    def ours(row: Row) -> Cell:
        summary = row.scores.get(measure.name)
        if summary is None:
            return Cell()
        ends = summary.interval if interval else None
        return Cell(
            percent(summary.mean),
            summary.mean,
            spread="" if summary.sd is None else f"± {percent(summary.sd)}",
            interval=(percent(ends[0]), percent(ends[1])) if ends else None,
        )

    def theirs(figure: Published) -> Cell:
        value = figure.scores.get(measure.name)
        return Cell() if value is None else Cell(percent(value), value)

    return LeaderboardColumn(
        Column(measure.heading, measure.meaning, best="high", priority=priority),
        ours,
        theirs,
        values=lambda row: _summary_values(measure.name, row.scores.get(measure.name)),
        their_values=lambda figure: _published_value(figure, measure.name),
    )


def _own_score(
    name: str, *, priority: int = 0, formats: frozenset[Format] = _ALL
) -> LeaderboardColumn:
    """Return the column of a score that has no entry in :data:`SCORES`."""

    def ours(row: Row) -> Cell:
        summary = row.scores.get(name)
        if summary is None:
            return Cell()
        spread = "" if summary.sd is None else f"± {summary.sd:.2g}"
        ends = summary.interval if name == OWN_SCORE else None
        interval = (f"{ends[0]:.4g}", f"{ends[1]:.4g}") if ends else None
        return Cell(f"{summary.mean:.4g}", summary.mean, spread=spread, interval=interval)

    column = Column(name, f"{name}, a score of this evaluator", priority=priority)
    if name == OWN_SCORE:
        column = Column(
            "score", "the evaluator's own score, larger is better", best="high", priority=priority
        )
    return LeaderboardColumn(
        column,
        ours,
        values=lambda row: _summary_values(name, row.scores.get(name)),
        their_values=lambda figure: _published_value(figure, name),
        formats=formats,
    )


def _summary_values(name: str, summary: Summary | None) -> Mapping[str, float | None]:
    if summary is None:
        return {}
    low, high = summary.interval or (None, None)
    return {
        f"{name}_mean": summary.mean,
        f"{name}_sd": summary.sd,
        f"{name}_low": low,
        f"{name}_high": high,
    }


def _published_value(figure: Published, name: str) -> Mapping[str, float]:
    return {f"{name}_mean": figure.scores[name]} if name in figure.scores else {}


def _patients_column(board: Leaderboard, priority: int) -> LeaderboardColumn:
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


def _runs_column(board: Leaderboard, priority: int) -> LeaderboardColumn:
    """Return the column with the single runs of methods that have too few for an interval."""

    def shown(row: Row) -> list[str]:
        usual = board.ranked_by == RANKED_BY
        return [percent(value) if usual else f"{value:.4g}" for value in row.score_by_seed]

    def ours(row: Row) -> Cell:
        few = 1 < len(row.score_by_seed) < MIN_VALUES_FOR_INTERVAL
        return Cell(", ".join(shown(row))) if few else Cell()

    def values(row: Row) -> Mapping[str, Any]:
        return {"runs": " ".join(f"{value:.10g}" for value in row.score_by_seed)}

    column = Column("runs", f"{board.score_name} of each run, by seed", priority=priority)
    return LeaderboardColumn(column, ours, values=values)


def _over_random_column(priority: int) -> LeaderboardColumn:
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


def _over_published_column(priority: int) -> LeaderboardColumn:
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


def _cost(
    measure: Measure, *, priority: int = 0, formats: frozenset[Format] = _ALL
) -> LeaderboardColumn:
    return _plain(measure, "cost", lambda row: row.costs, priority, formats)


def _seconds(
    measure: Measure, *, priority: int = 0, formats: frozenset[Format] = _ALL
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
        yield _own_score(name, formats=_CSV)
    for name in names(lambda row: row.costs):
        yield _cost(other(name, COSTS), formats=_CSV)
    for name in names(lambda row: row.seconds):
        yield _seconds(other(name, SECONDS), formats=_CSV)
