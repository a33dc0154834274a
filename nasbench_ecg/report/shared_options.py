"""Options that several rows of a leaderboard share, so that they are stated once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nasbench_ecg.report.leaderboard import Row

_MIN_ROWS = 4
"""Rows below which no value is called usual."""


def common_options(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the options that describe the leaderboard and distinguish no row.

    They are those of the evaluator that all of several rows show with the same value, and those of
    a space or builder that all of several rows with that space or builder do.
    """
    found = {}
    for name in sorted({name for row in rows for name in row.options}):
        role = name.partition(".")[0]
        showing = [row for row in rows if name in row.options]
        values = [row.options[name] for row in showing]
        concerned = [row for row in rows if _concerned(row, role, showing)]
        if len(showing) > 1 and showing == concerned and values.count(values[0]) == len(values):
            found[name] = values[0]
    return found


def _concerned(row: Row, role: str, others: Sequence[Row]) -> bool:
    """Tell whether the options of a component that ``others`` have are options of ``row``."""
    if role == "space":
        return any(row.space == other.space for other in others)
    if role == "builder":
        return any(row.builder == other.builder for other in others)
    return role == "evaluator"


def usual_options(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the values of evaluator options that more than half of at least four rows show."""
    found = {}
    shown = {name for row in rows for name in row.options}
    for name in sorted(name for name in shown if name.startswith("evaluator.")):
        values = [row.options[name] for row in rows if name in row.options]
        value = max(values, key=values.count)
        if len(rows) >= _MIN_ROWS and 2 * values.count(value) > len(rows):
            found[name] = value
    return found
