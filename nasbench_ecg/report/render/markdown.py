"""Reports and tables as GitHub Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nasbench_ecg.report.leaderboard.anytime import curves, tables
from nasbench_ecg.report.leaderboard.tables import comparison_table, leaderboard_table, rank_table
from nasbench_ecg.report.leaderboard.types import Leaderboard, Report
from nasbench_ecg.report.leaderboard.verdicts import verdict_table
from nasbench_ecg.report.table import Cell, Table, TableRow
from nasbench_ecg.text import one_line


def render(report: Report) -> str:
    """Return the report as a Markdown document."""
    parts = [f"# {escape(report.title)}", *([_paragraph(report.about)] if report.about else [])]
    if table := verdict_table(report.leaderboards):
        parts += ["## What these runs show", table_and_notes(table)]
    for board in report.leaderboards:
        parts += [*_section(leaderboard_table(board, "markdown"), "##"), *_comparisons(board)]
        parts += _progress(tables(curves(report, board)))
    if report.across_datasets:
        parts.append("## Over several datasets")
    for name, found in report.across_datasets.items():
        parts += _section(rank_table(name, found), "###")
    return "\n\n".join(parts) + "\n"


def render_tables(tables: Sequence[Table], title: str) -> str:
    """Return tables as a Markdown document."""
    parts = [part for table in tables for part in _section(table, "##")]
    return "\n\n".join([f"# {escape(title)}", *parts]) + "\n"


def table_and_notes(table: Table) -> str:
    """Return a table and its footnotes, without its title."""
    return "\n\n".join([_table(table), *map(_paragraph, table.footnotes)])


def escape(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is, on one line.

    Brackets are escaped where they could make a link.
    """
    text = re.sub(r"([\\`*_~|<&$])", r"\\\1", one_line(text))
    return re.sub(r"\](?=[(\[:])", r"\]", text)


def _paragraph(text: str) -> str:
    """Return ``text`` so that no character at its start begins a heading, a list or a quotation."""
    return re.sub(r"^(\s*\d*)(?=[#>+=.)-])", r"\1\\", escape(text))


def _section(table: Table, level: str) -> list[str]:
    options = [" ".join(map(_code, table.options))] if table.options else []
    footnotes = map(_paragraph, table.footnotes)
    return [f"{level} {escape(table.title)}", *options, _table(table), *footnotes]


def _code(text: str) -> str:
    """Return ``text`` as code, between more backticks than it has in a row."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{one_line(text)}{space}{fence}"


def _comparisons(board: Leaderboard) -> list[str]:
    table = comparison_table(board)
    if table is None:
        return []
    return [_folded("All paired permutation tests", table_and_notes(table))]


def _progress(found: Sequence[Table]) -> list[str]:
    """Return the progress of the searches of a leaderboard."""
    if not found:
        return []
    parts = [
        part for table in found for part in (f"**{escape(table.title)}**", table_and_notes(table))
    ]
    return [_folded("Progress of the searches", "\n\n".join(parts))]


def _folded(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def _table(table: Table) -> str:
    headings = [escape(column.heading) for column in table.columns]
    rules = ["--:" if column.numeric else ":--" for column in table.columns]
    rows = [[_cell(row, cell) for cell in row.cells] for row in table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rules, *rows))


def _cell(row: TableRow, cell: Cell) -> str:
    emphasis = "**" if cell.strong else "*" if row.kind == "published" else ""
    return f"{emphasis}{escape(cell.line)}{emphasis}" if cell.line else ""
