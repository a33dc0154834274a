"""One model of a table, which every format in :mod:`nasbench_ecg.report.render` writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What it says; empty if there is nothing to say.
        value: Number to sort by; None sorts last.
        spread: Standard deviation, for example ``± 0.36``.
        interval: Lower and upper end of an interval.
        details: What further distinguishes a name, for example options.
        note: A remark.
        strong: Whether it states a significant result; shown in bold.
    """

    text: str = ""
    value: float | None = None
    spread: str = ""
    interval: tuple[str, str] | None = None
    details: tuple[str, ...] = ()
    note: str = ""
    strong: bool = False

    @property
    def label(self) -> str:
        """The text with its details: ``random (samples=1)``."""
        return f"{self.text} ({', '.join(self.details)})" if self.details else self.text

    @property
    def interval_text(self) -> str:
        """The interval in brackets: ``[95.00, 95.70]``; empty if there is none."""
        return "[{}, {}]".format(*self.interval) if self.interval else ""

    @property
    def line(self) -> str:
        """The whole cell on one line: ``95.30 ± 0.36 [95.00, 95.70] (a remark)``."""
        note = f"({self.note})" if self.note else ""
        return " ".join(filter(None, [self.label, self.spread, self.interval_text, note]))


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        heading: Its heading.
        meaning: What it holds, in words.
        numeric: Whether it holds numbers, which are aligned right.
        best: Which end is better, if one is.
        priority: A narrow terminal shows columns in this order as far as they fit; 0: always.
    """

    heading: str
    meaning: str = ""
    numeric: bool = True
    best: Literal["high", "low", ""] = ""
    priority: int = 0


Kind = Literal["", "first", "unranked", "published"]
"""How a row is set apart from others."""


@dataclass(frozen=True)
class TableRow:
    """A row: one cell for each column."""

    cells: tuple[Cell, ...]
    kind: Kind = ""


@dataclass(frozen=True)
class Chart:
    """A plot that goes with a table.

    Attributes:
        name: Its name in a choice of plots.
        svg: The plot.
        methods: Names of the methods that it shows.
        numbers: Number of each of these, which sets its color and shape.
        note: What its lines and bars are, in sentences.
    """

    name: str
    svg: str
    methods: tuple[str, ...]
    numbers: tuple[int, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: What it shows.
        columns: Its columns.
        rows: Its rows.
        options: Options that the title does not name.
        footnotes: What a reader must know, a sentence or more each.
        chart: A plot of the same, which HTML pages show below the table.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    options: tuple[str, ...] = ()
    footnotes: tuple[str, ...] = ()
    chart: Chart | None = None


def text_table(
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[Cell | str]],
    footnotes: Sequence[str] = (),
    *,
    words: Sequence[str] = (),
) -> Table:
    """Return a table whose first column and those of the headings ``words`` hold words.

    The other columns hold numbers.
    """
    return Table(
        title=title,
        columns=tuple(
            Column(heading, numeric=i > 0 and heading not in words)
            for i, heading in enumerate(headings)
        ),
        rows=tuple(
            TableRow(tuple(Cell(cell) if isinstance(cell, str) else cell for cell in row))
            for row in rows
        ),
        footnotes=tuple(footnotes),
    )
