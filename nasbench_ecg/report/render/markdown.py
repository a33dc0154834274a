"""Leaderboards as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_ecg.report.columns import (
    COMPARISON_HEADINGS,
    Cell,
    comparison_cells,
    sheet,
)
from nasbench_ecg.report.footnotes import across_text
from nasbench_ecg.report.leaderboard import Leaderboard, Report
from nasbench_ecg.report.statistics import CriticalDifference


def render(report: Report) -> str:
    """Return the report as a Markdown document."""
    parts = [f"# {_text(report.title)}"]
    for board in report.boards:
        parts += [*_board(board), *_tests(board)]
    if report.across:
        parts.append("## Over several datasets")
    for name, found in report.across.items():
        parts += _across(name, found)
    return "\n\n".join(parts) + "\n"


def _board(board: Leaderboard) -> list[str]:
    shown = sheet(board)
    heading = f"## {_text(shown.title)}"
    options = [" ".join(f"`{option}`" for option in shown.options)] if shown.options else []
    rows = [
        [_cell(cell, emphasis="*" if line.kind == "published" else "") for cell in line.cells]
        for line in shown.lines
    ]
    listed = _table(
        [_text(column.heading) for column in shown.columns],
        ["--:" if column.numeric else ":--" for column in shown.columns],
        rows,
    )
    return [heading, *options, listed, *map(_text, shown.notes)]


def _tests(board: Leaderboard) -> list[str]:
    if not board.comparisons:
        return []
    rows = [[_text(cell) for cell in cells] for cells in comparison_cells(board)]
    rules = [":--", ":--", "--:", "--:", "--:", "--:"]
    listed = _table(COMPARISON_HEADINGS, rules, rows)
    summary = "<summary>Paired permutation tests over seeds</summary>"
    return [f"<details>{summary}\n\n{listed}\n\n</details>"]


def _across(name: str, found: CriticalDifference) -> list[str]:
    pairs = zip(found.methods, found.ranks, strict=True)
    listed = _table(
        ["method", "average rank"],
        [":--", "--:"],
        [[_text(method), f"{rank:.2f}"] for method, rank in pairs],
    )
    return [f"### {_text(name)}", _text(across_text(found)), listed]


def _cell(cell: Cell, *, emphasis: str) -> str:
    note = f" {cell.note}" if cell.note.startswith(("±", "[")) else f" ({cell.note})"
    text = cell.text + (note if cell.note else "")
    return f"{emphasis}{_text(text)}{emphasis}" if text else ""


def _table(headings: Sequence[str], rules: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, rules, *rows))


def _text(text: str) -> str:
    for special in "\\|*_<":
        text = text.replace(special, f"\\{special}")
    return text
