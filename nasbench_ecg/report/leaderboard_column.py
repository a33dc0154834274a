"""One column of a leaderboard, in every format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from nasbench_ecg.report.leaderboard import Row
from nasbench_ecg.report.published import Published
from nasbench_ecg.report.table import Cell, Column

Format = Literal["terminal", "markdown", "latex", "html", "csv"]
ALL_FORMATS: frozenset[Format] = frozenset(get_args(Format))
CSV_ONLY: frozenset[Format] = frozenset({"csv"})


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
    formats: frozenset[Format] = ALL_FORMATS
