"""Tables for a terminal, whose lines break between words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

GAP = 2
"""Characters between two columns."""


class WordTable(Table):
    """A table that breaks no word where the terminal is wide enough for all longest words.

    Rich makes the widest columns narrower, whatever words they hold.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            box=SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            collapse_padding=True,
            header_style="bold",
            **settings,
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table with columns as wide as their words, and wider where there is room."""
        texts = [[_plain(column.header), *map(_plain, column.cells)] for column in self.columns]
        given = [column.width for column in self.columns]
        most = [longest_line(own) if w is None else w for own, w in zip(texts, given, strict=True)]
        least = [
            line if column.no_wrap or column.width is not None else longest_word(own)
            for column, own, line in zip(self.columns, texts, most, strict=True)
        ]
        widths = fitted(least, most, options.max_width) or given
        try:
            for column, width in zip(self.columns, widths, strict=True):
                column.width = width
            yield from super().__rich_console__(console, options)
        finally:
            for column, width in zip(self.columns, given, strict=True):
                column.width = width


def fitted(least: Sequence[int], most: Sequence[int], width: int) -> list[int] | None:
    """Return the widths of columns in a table of ``width``; None if it is too narrow for them.

    Args:
        least: Smallest width of each column.
        most: Width of each column in which nothing is wrapped.
        width: Characters of the whole table.
    """
    left = width - sum(least) - GAP * (len(least) - 1)
    if left < 0:
        return None
    widths = list(least)
    by_need = sorted(range(len(widths)), key=lambda i: most[i] - least[i])
    for place, i in enumerate(by_need):  # who needs little gets it, the others share the rest
        given = min(most[i] - least[i], left // (len(by_need) - place))
        widths[i] += given
        left -= given
    return widths


def longest_word(texts: Sequence[str]) -> int:
    """Return the characters of the longest word of some texts."""
    return max((len(word) for text in texts for word in text.split()), default=0)


def longest_line(texts: Sequence[str]) -> int:
    """Return the characters of the longest line of some texts."""
    return max((len(line) for text in texts for line in text.splitlines()), default=0)


def _plain(cell: Any) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)
