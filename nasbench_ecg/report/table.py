"""A plain table of text, written as Markdown, CSV, LaTeX, a page, or for the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"−": "$-$", "±": r"$\pm$"}
)
_NAMES = 24
"""Characters that names keep, however narrow the terminal."""

_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
h2{font-size:1.1rem;margin:2rem 0 .5rem}div{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .8rem;text-align:right;border-bottom:1px solid #8884;white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0}p{opacity:.7;margin:.4rem 0}
"""


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        title: What it shows.
        headings: One for each column; the first column holds names, the others figures.
        rows: Cells, as many as headings.
        notes: What a reader must know.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def markdown(grids: Sequence[Grid]) -> str:
    """Return the tables as GitHub's Markdown."""
    parts = []
    for grid in grids:
        align = ["---", *("---:" for _ in grid.headings[1:])]
        lines = [_piped(grid.headings), _piped(align), *(_piped(row) for row in grid.rows)]
        parts.append("\n".join([f"### {grid.title}", "", *lines, *_spaced(grid.notes)]))
    return "\n\n".join(parts) + "\n"


def csv_text(grids: Sequence[Grid]) -> str:
    """Return the tables one below the other, each row led by its table's title."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for grid in grids:
        writer.writerow(["table", *grid.headings])
        writer.writerows([grid.title, *row] for row in grid.rows)
    return file.getvalue()


def latex(grids: Sequence[Grid]) -> str:
    """Return the tables as tabulars with booktabs' rules."""
    return "\n\n".join(map(_tabular, grids)) + "\n"


def html(grids: Sequence[Grid], title: str) -> str:
    """Return one page that needs no network."""
    tables = "\n".join(map(_html_table, grids))
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n"
        f"<h1>{escape(title)}</h1>\n{tables}\n</html>\n"
    )


def terminal(grids: Sequence[Grid]) -> RenderableType:
    """Return the tables for a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    for grid in grids:
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
        longest = max(len(row[0]) for row in [grid.headings, *grid.rows])
        table.add_column(Text(grid.headings[0]), overflow="fold", min_width=min(longest, _NAMES))
        for heading in grid.headings[1:]:
            table.add_column(Text(heading), justify="right", overflow="fold")
        for row in grid.rows:
            table.add_row(Text(row[0]), *(Text(cell.replace(" ± ", "\n± ")) for cell in row[1:]))
        notes = [Text(note, style="dim") for note in grid.notes]
        parts += [Text(grid.title, style="bold"), table, *notes, Text("")]
    return Group(*parts[:-1])


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _spaced(notes: Sequence[str]) -> list[str]:
    return [line for note in notes for line in ("", note)]


def _tabular(grid: Grid) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join(cell.translate(_LATEX) for cell in cells) + r" \\"

    return "\n".join(
        [
            f"% {grid.title}",
            rf"\begin{{tabular}}{{l{'r' * (len(grid.headings) - 1)}}}",
            r"\toprule",
            line(grid.headings),
            r"\midrule",
            *map(line, grid.rows),
            r"\bottomrule",
            r"\end{tabular}",
            *(f"% {note}" for note in grid.notes),
        ]
    )


def _html_table(grid: Grid) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    notes = "".join(f"<p>{escape(note)}</p>" for note in grid.notes)
    rows = "\n".join(line(row, "td") for row in grid.rows)
    return (
        f"<h2>{escape(grid.title)}</h2>\n<div><table>\n<thead>{line(grid.headings, 'th')}</thead>\n"
        f"<tbody>{rows}</tbody>\n</table></div>{notes}"
    )
