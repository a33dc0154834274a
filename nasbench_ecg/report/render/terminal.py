"""Leaderboards and tables for a terminal: a wider one shows more columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import takewhile

from rich.console import (
    Console,
    ConsoleOptions,
    Group,
    JustifyMethod,
    RenderableType,
    RenderResult,
)
from rich.constrain import Constrain
from rich.text import Text

from nasbench_ecg.report.leaderboard.columns import leaderboard_columns, pareto_meaning
from nasbench_ecg.report.leaderboard.published import Published
from nasbench_ecg.report.leaderboard.tables import footnotes
from nasbench_ecg.report.leaderboard.tables import leaderboard_table as full_table
from nasbench_ecg.report.leaderboard.types import Leaderboard
from nasbench_ecg.report.table import Cell, Table, TableRow
from nasbench_ecg.terminal_table import GAP, WordTable, longest_word

PARETO_MARK = "◆"
_NAME_WIDTH = 22
_ALWAYS = ("#", "method")
"""Headings of the columns that identify a row."""


def leaderboard_table(
    board: Leaderboard, *, width: int, columns: Collection[str] = ()
) -> RenderableType:
    """Return a leaderboard for a terminal of ``width`` columns, at least 80.

    Args:
        board: The leaderboard.
        width: Columns that do not fit are left out, the least important first.
        columns: Headings of the columns to show instead, beside rank and method; a wider terminal
            may be necessary.
    """
    table = full_table(board, "terminal")
    marks = [bool(row.pareto_costs) for row in board.rows]
    cells = [
        [_lines(row, cell, marked=marked and i == 0) for i, cell in enumerate(row.cells)]
        for row, marked in zip(table.rows, [*marks, *(False for _ in board.published)], strict=True)
    ]
    if columns:
        shown = [
            i for i, column in enumerate(table.columns) if column.heading in (*_ALWAYS, *columns)
        ]
    else:
        shown = _fitting(table, cells, width)
    rich = WordTable()
    for i in shown:
        column = table.columns[i]
        if column.numeric:
            rich.add_column(Text(column.heading), justify="right", no_wrap=True)
        else:
            rich.add_column(Text(column.heading), width=_NAME_WIDTH, overflow="fold")
    for i, row in enumerate(table.rows):
        if row.kind == "published" and (i == 0 or table.rows[i - 1].kind != "published"):
            rich.add_section()
            rich.add_row("", _published_heading(board.published))
        rich.add_row(*(cells[i][j] for j in shown))
    notes = footnotes(board, {table.columns[i].heading for i in shown} - {"Pareto"})
    if any(marks):
        notes.append(f"{PARETO_MARK} Pareto-optimal: {pareto_meaning(board)}.")
    hidden = [column.heading for i, column in enumerate(table.columns) if i not in shown]
    if hidden and not columns:
        notes.append(f"{_hidden_note(len(hidden))} Choose with --columns: {', '.join(hidden)}.")
    title = Text(table.title, style="bold")
    for option in table.options:
        title.append(f"  {option}", style="not bold cyan")
    return Group(
        title,
        Text(""),
        rich,
        *([Text("")] if notes else []),
        *(Constrain(Text(note, style="dim"), width) for note in notes),
    )


def render_tables(tables: Sequence[Table]) -> RenderableType:
    """Return tables for a terminal: one that is too wide is shown in parts below each other."""
    parts: list[RenderableType] = []
    for table in tables:
        notes = [Text(note, style="dim") for note in table.footnotes]
        parts += [Text(table.title, "bold"), _InParts(table), *notes, Text("")]
    return Group(*parts[:-1])


def as_text(parts: Iterable[RenderableType], *, width: int) -> str:
    """Return what a terminal of ``width`` columns shows, without colors and trailing spaces."""
    # A console would display its output in a notebook, in place of writing it.
    console = Console(
        width=width, color_system=None, highlight=False, file=StringIO(), force_jupyter=False
    )
    for part in parts:
        console.print(part)
        console.print()
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def headings(boards: Iterable[Leaderboard]) -> list[str]:
    """Return the headings of the columns of leaderboards that can be chosen."""
    found = (c.column.heading for b in boards for c in leaderboard_columns(b, "terminal"))
    return [heading for heading in dict.fromkeys(found) if heading not in _ALWAYS]


@dataclass(frozen=True)
class _InParts:
    """A table, in several parts below each other where the terminal is too narrow for its words.

    Every part has the columns of words that the table begins with: they name the rows.

    Attributes:
        table: The table.
    """

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        cells = [[_lines(row, cell) for cell in row.cells] for row in self.table.rows]
        texts = [
            [column.heading, *(row[i].plain for row in cells)]
            for i, column in enumerate(self.table.columns)
        ]
        for number, columns in enumerate(
            self._parts(list(map(longest_word, texts)), options.max_width)
        ):
            if number:
                yield Text("")
            part = WordTable()
            for i in columns:
                column = self.table.columns[i]
                justify: JustifyMethod = "right" if column.numeric else "left"
                part.add_column(Text(column.heading), justify=justify, overflow="fold")
            for row in cells:
                part.add_row(*(row[i] for i in columns))
            yield part

    def _parts(self, least: Sequence[int], width: int) -> list[list[int]]:
        """Return the columns of each part in a terminal of ``width``; ``least`` is that of each."""
        every = range(len(least))
        names = list(takewhile(lambda i: not self.table.columns[i].numeric, every))
        room = width + GAP - sum(GAP + least[i] for i in names)
        parts: list[list[int]] = [[*names]]
        left = room
        for i in every[len(names) :]:
            if len(parts[-1]) > len(names) and left < GAP + least[i]:
                parts.append([*names])
                left = room
            parts[-1].append(i)
            left -= GAP + least[i]
        return parts


def _lines(row: TableRow, cell: Cell, *, marked: bool = False) -> Text:
    """Return a cell of several lines: spread, interval, details and note below the text."""
    style = "bold" if cell.strong else {"first": "bold", "published": "italic"}.get(row.kind, "")
    text = Text(f"{PARETO_MARK if marked else ''}{cell.text}", style=style)
    spread = cell.spread.replace("± ", "±")
    if cell.interval:
        dash = " to " if any(end[:1] in "+−" for end in cell.interval) else "–"
        text.append(f" {spread}" if spread else "", style="not bold dim")
        text.append(f"\n{dash.join(cell.interval)}", style="not bold dim")
    elif spread:
        text.append(f"\n{spread}", style="not bold dim")
    for detail in cell.details:
        text.append(f"\n{detail}", style="not bold dim")
    if cell.note and row.kind != "published":
        style = "dim" if cell.value is not None else "yellow"
        text.append(f"\n{cell.note}", style=f"not bold {style}")
    return text


def _hidden_note(hidden: int) -> str:
    return f"{hidden} more {'column needs' if hidden == 1 else 'columns need'} a wider terminal."


def _fitting(table: Table, cells: Sequence[Sequence[Text]], width: int) -> list[int]:
    """Return the indices of the columns that fit, in the order of the table."""
    widths = []
    for i, column in enumerate(table.columns):
        widths.append(GAP + (_longest(table, cells, i) if column.numeric else _NAME_WIDTH))
    shown = []
    left = width + GAP
    for i in sorted(range(len(widths)), key=lambda i: table.columns[i].priority):
        left -= widths[i]
        if left < 0 and table.columns[i].priority:
            break
        shown.append(i)
    return sorted(shown)


def _longest(table: Table, cells: Sequence[Sequence[Text]], i: int) -> int:
    lines = [line for row in cells for line in row[i].plain.splitlines()]
    return max(map(len, [table.columns[i].heading, *lines]))


def _published_heading(published: Sequence[Published]) -> Text:
    cites = {one.cite for one in published}
    return Text(f"published, {cites.pop()}" if len(cites) == 1 else "published", style="dim")
