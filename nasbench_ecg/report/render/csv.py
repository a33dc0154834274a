"""Reports and tables as CSV.

Leaderboards are one table for other programs, with fractions, seconds and counts that are not
rounded. Other tables are written as they are shown. Text that a spreadsheet would take for a
formula is marked as text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nasbench_ecg.architecture import canonical_json
from nasbench_ecg.report.leaderboard.columns import leaderboard_columns
from nasbench_ecg.report.leaderboard.types import Leaderboard, Report, Row
from nasbench_ecg.report.table import Cell, Table

_DIGITS = 10
_NUMBER = re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?( ± [\d.]+)?( \[[+−\d.]+, [+−\d.]+\])?", re.ASCII)
_FIRST = (
    "dataset", "protocol", "profile", "evaluator", "beats", "split",
    "kind", "rank", "rank_low", "rank_high", "method", "strategy", "space", "builder", "device",
    "options", "seeds", "source",
)  # fmt: skip


def render(report: Report) -> str:
    """Return the report as CSV, one line for each row; what was not measured is empty."""
    lines = [line for board in report.leaderboards for line in _lines(board)]
    names = dict.fromkeys([*_FIRST, *sorted({name for line in lines for name in line})])
    return as_csv(list(names), lines)


def as_csv(names: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> str:
    """Return lines of values by column; an absent value is empty, fractions have 10 digits."""
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(_rounded(v)) for name, v in line.items()} for line in lines)
    return out.getvalue()


def board_identity(board: Leaderboard) -> dict[str, str]:
    """Return the columns that say which leaderboard a line belongs to."""
    return {
        "dataset": board.track.dataset,
        "protocol": board.track.protocol,
        "profile": board.track.profile,
        "evaluator": board.track.evaluator,
        "beats": board.dataset_fingerprint,
        "split": board.split_fingerprint,
    }


def render_tables(tables: Sequence[Table], title: str) -> str:
    """Return tables one below the other, each line preceded by the title of its table."""
    del title  # CSV has no place for it
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for table in tables:
        writer.writerow(["table", *(_text_cell(column.heading) for column in table.columns)])
        for row in table.rows:
            writer.writerow([_text_cell(text) for text in (table.title, *map(_line, row.cells))])
    return out.getvalue()


def _line(cell: Cell) -> str:
    return cell.line


def _cell(value: Any) -> Any:
    return _text_cell(value) if isinstance(value, str) else value


def _text_cell(text: str) -> str:
    """Return the text of a cell; one that a spreadsheet would compute gets a ``'`` before it.

    A number with its sign stays as it is, also with a spread or an interval behind it.
    """
    formula = text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(text)
    return f"'{text}" if formula else text


def _lines(board: Leaderboard) -> list[dict[str, Any]]:
    columns = leaderboard_columns(board, "csv")
    identity = board_identity(board)
    track = {name: identity[name] for name in identity if name not in ("beats", "split")}
    lines = []
    for row in board.rows:
        line = {**identity, **_identity(row)}
        for column in columns:
            line |= column.values(row)
        lines.append(line)
    for published in board.published:
        line = {**track, "kind": "published"}
        for column in columns:
            line |= column.their_values(published)
        lines.append(line)
    return lines


def _identity(row: Row) -> dict[str, Any]:
    return {
        "kind": "unranked" if row.rank is None else "ranked",
        "strategy": row.strategy,
        "space": row.space,
        "builder": row.builder,
        "device": row.device,
        "options": canonical_json(dict(row.options)),
        "seeds": " ".join(f"{search}/{final}" for search, final in row.seeds),
    }


def _rounded(value: Any) -> Any:
    return round(value, _DIGITS) if isinstance(value, float) else value
