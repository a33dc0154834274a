"""A leaderboard as rows of cells: what is shown in Markdown, LaTeX and the page, and not how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nasbench_ecg.report.footnotes import notes
from nasbench_ecg.report.leaderboard import RANKED_BY, Leaderboard, Row
from nasbench_ecg.report.pareto import FRONT_MEANING, front_letters
from nasbench_ecg.report.published import Published
from nasbench_ecg.report.statistics import Summary
from nasbench_ecg.report.text import (
    amount,
    coarse_duration,
    difference,
    milliseconds,
    percent,
    seeds_text,
    value_text,
)

_OVERALL = (
    ("accuracy", "Acc", "Accuracy"),
    ("macro_se", "Se", "Mean sensitivity of the classes"),
    ("macro_pp", "+P", "Mean positive predictivity of the classes"),
)
_BETWEEN_PATIENTS = (
    ("accuracy", "Acc", "Accuracy"),
    ("macro_se", "Se", "Mean sensitivity of the classes"),
    ("ec57_s_se", "S Se", "Gross sensitivity of supraventricular beats (EC57)"),
    ("ec57_s_pp", "S +P", "Gross positive predictivity of supraventricular beats (EC57)"),
    ("ec57_v_se", "V Se", "Gross sensitivity of ventricular beats (EC57)"),
    ("ec57_v_pp", "V +P", "Gross positive predictivity of ventricular beats (EC57)"),
)


@dataclass(frozen=True)
class Cell:
    """One figure.

    Attributes:
        text: What is read; empty where there is nothing.
        value: What it is sorted by; None sorts last.
        note: What is read below or beside it, smaller: its spread and interval.
    """

    text: str = ""
    value: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        heading: Its heading.
        meaning: The same in words.
        numeric: Whether it holds figures.
        best: ``high`` or ``low``, where one end is better.
        ours: Cell of one of our rows.
        theirs: Cell of a published figure.
    """

    heading: str
    meaning: str
    ours: Callable[[Row], Cell]
    theirs: Callable[[Published], Cell] = lambda figure: Cell()
    numeric: bool = True
    best: Literal["high", "low", ""] = ""


@dataclass(frozen=True)
class Line:
    """One row: ``ranked``, ``unranked`` or ``published``, and its cells."""

    kind: Literal["ranked", "unranked", "published"]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Sheet:
    """A leaderboard ready to be written down."""

    title: str
    options: tuple[str, ...]
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def sheet(board: Leaderboard) -> Sheet:
    """Return a leaderboard as a sheet: our rows in order, then what was published."""
    columns = tuple(_columns(board))
    ours = (
        Line("unranked" if row.rank is None else "ranked", tuple(c.ours(row) for c in columns))
        for row in board.rows
    )
    theirs = (Line("published", tuple(c.theirs(f) for c in columns)) for f in board.published)
    return Sheet(
        title=str(board.track),
        options=tuple(f"{name}={value_text(value)}" for name, value in board.options.items()),
        columns=columns,
        lines=(*ours, *theirs),
        notes=tuple(notes(board)),
    )


def _columns(board: Leaderboard) -> list[Column]:
    columns = [
        Column("#", "Rank by mean F1, and its 95% bootstrap interval over seeds", _rank),
        Column(
            "method",
            "Strategy, with what tells it from others of the same name",
            lambda row: Cell(board.label(row), note=_state(row)),
            lambda figure: Cell(figure.label, note=f"published: {figure.citation}"),
            numeric=False,
        ),
        Column("n", "Number of seeds", lambda row: Cell(str(len(row.seeds)), len(row.seeds))),
        *_scores(board),
        Column("vs random", "Relative improvement over random draws trained alike", _over_random,
               best="high"),
        Column("vs publ.", "Difference from the published figure, in points", _against_published,
               best="high"),
        _cost("params", "Trainable parameters", "parameters", amount),
        _cost("MACs", "Multiply-accumulates for one beat", "macs", amount),
        _cost("latency", "Median time to classify one beat", "latency_1_ms", milliseconds),
        Column("front", FRONT_MEANING, _front, best="high"),
        *_evals(board),
        _seconds("search", "Duration of the search", "search"),
        _seconds("train", "Duration of the final training and test", "evaluation"),
    ]  # fmt: skip
    return [
        column
        for column in columns
        if any(column.ours(row).text for row in board.rows)
        or any(column.theirs(figure).text for figure in board.published)
    ]


def _scores(board: Leaderboard) -> list[Column]:
    if not any(RANKED_BY in row.scores for row in board.rows):
        names = sorted({name for row in board.rows for name in row.scores})
        return [_own_score(name) for name in names]
    scores = _BETWEEN_PATIENTS if board.track.protocol.startswith("inter-patient") else _OVERALL
    f1 = (RANKED_BY, "F1", "Harmonic mean of macro Se and macro +P")
    return [_score(*score) for score in (f1, *scores)]


def _score(name: str, heading: str, meaning: str) -> Column:
    def theirs(figure: Published) -> Cell:
        value = figure.scores.get(name)
        return Cell() if value is None else Cell(percent(value), value)

    def ours(row: Row) -> Cell:
        summary = row.scores.get(name)
        if summary is None:
            return Cell()
        interval = name == RANKED_BY
        return Cell(percent(summary.mean), summary.mean, _spread(summary, interval=interval))

    return Column(heading, f"{meaning}, in percent", ours, theirs, best="high")


def _own_score(name: str) -> Column:
    def ours(row: Row) -> Cell:
        summary = row.scores.get(name)
        if summary is None:
            return Cell()
        note = "" if summary.sd is None else f"± {summary.sd:.2g}"
        return Cell(f"{summary.mean:.4g}", summary.mean, note)

    return Column(name, f"{name}, a score of this evaluator", ours)


def _spread(summary: Summary, *, interval: bool) -> str:
    """Return standard deviation and, if asked for, interval in percent; empty with one seed."""
    if summary.sd is None:
        return ""
    text = f"± {100 * summary.sd:.2f}"
    if interval and summary.interval:
        text += f" [{percent(summary.interval[0])}, {percent(summary.interval[1])}]"
    return text


def _rank(row: Row) -> Cell:
    if row.rank is None:
        return Cell("–")
    interval = row.rank_interval
    if interval is None:
        return Cell(str(row.rank), row.rank)
    same = interval[0] == interval[1]
    return Cell(str(row.rank), row.rank, "" if same else f"{interval[0]}–{interval[1]}")


def _state(row: Row) -> str:
    parts = [f"incomplete: no {seeds_text(row.missing)}"] if row.missing else []
    parts += [f"{count} {status}" for status, count in row.unfinished.items()]
    return "; ".join(parts)


def _over_random(row: Row) -> Cell:
    gain = row.improvement
    if gain is None:
        return Cell()
    note = ""
    if gain.interval:
        note = f"[{_signed(gain.interval[0])}, {_signed(gain.interval[1])}]"
    return Cell(f"{_signed(gain.relative)} %", gain.relative, note)


def _signed(fraction: float) -> str:
    return difference(fraction, 0.0)


def _against_published(row: Row) -> Cell:
    theirs = row.published.scores.get(RANKED_BY) if row.published else None
    if theirs is None or RANKED_BY not in row.scores:
        return Cell()
    ours = row.scores[RANKED_BY].mean
    return Cell(difference(ours, theirs), ours - theirs)


def _front(row: Row) -> Cell:
    return Cell(front_letters(row), len(row.fronts)) if row.fronts else Cell()


def _evals(board: Leaderboard) -> list[Column]:
    if not any(row.evaluations for row in board.rows):
        return []
    return [Column("evals", "Candidates evaluated by the search", _evaluations)]


def _evaluations(row: Row) -> Cell:
    return Cell() if row.evaluations is None else Cell(amount(row.evaluations), row.evaluations)


def _cost(heading: str, meaning: str, name: str, show: Callable[[float], str]) -> Column:
    def ours(row: Row) -> Cell:
        value = row.costs.get(name)
        return Cell() if value is None else Cell(show(value), value)

    return Column(heading, meaning, ours, best="low")


def _seconds(heading: str, meaning: str, name: str) -> Column:
    def ours(row: Row) -> Cell:
        value = row.seconds.get(name)
        return Cell() if value is None else Cell(coarse_duration(value), value)

    return Column(heading, meaning, ours, best="low")


COMPARISON_HEADINGS = ("method", "other", "pairs", "F1 points", "p", "p (Holm)")


def comparison_cells(board: Leaderboard) -> list[list[str]]:
    """Return the paired tests of a board as text, a row each under :data:`COMPARISON_HEADINGS`."""
    return [
        [
            board.label(board.rows[c.first]),
            board.label(board.rows[c.second]),
            str(c.n),
            difference(c.difference, 0.0),
            f"{c.p:.3f}",
            f"{c.p_adjusted:.3f}",
        ]
        for c in board.comparisons
    ]
