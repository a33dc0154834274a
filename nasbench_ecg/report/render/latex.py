"""Reports and tables as LaTeX (package ``booktabs``)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nasbench_ecg.report.leaderboard import Report
from nasbench_ecg.report.leaderboard_tables import comparison_table, leaderboard_table, rank_table
from nasbench_ecg.report.table import Cell, Table, TableRow

_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",
    "]": "{]}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "·": r"$\cdot$",
    "τ": r"$\tau$",
    **{subscript: f"$_{digit}$" for digit, subscript in enumerate("₀₁₂₃₄₅₆₇₈₉")},
}


def render(report: Report) -> str:
    """Return the report as LaTeX: each leaderboard with its tests, then ranks over datasets."""
    tables = []
    for board in report.leaderboards:
        tables += [leaderboard_table(board, "latex"), comparison_table(board)]
    tables += [rank_table(name, found) for name, found in report.across_datasets.items()]
    return render_tables([table for table in tables if table is not None], report.title)


def render_tables(tables: Sequence[Table], title: str) -> str:
    """Return tables as LaTeX floats, to be included in a document."""
    return "\n".join([f"% {title}\n% Needs \\usepackage{{booktabs}}.\n", *map(_float, tables)])


def escape(text: str) -> str:
    r"""Return ``text`` so that LaTeX shows it as it is.

    Brackets are put in braces, since ``[`` after ``\\`` would start an optional argument.
    """
    return "".join(_SPECIAL.get(character, character) for character in text)


def _float(table: Table) -> str:
    ours = [_row(row) for row in table.rows if row.kind != "published"]
    theirs = [_row(row) for row in table.rows if row.kind == "published"]
    caption = " ".join([f"{' '.join([table.title, *table.options])}.", *table.footnotes])
    parts = [
        r"\begin{table}",
        r"\centering\small",
        rf"\begin{{tabular}}{{{''.join('r' if c.numeric else 'l' for c in table.columns)}}}",
        r"\toprule",
        " & ".join(escape(column.heading) for column in table.columns) + r" \\",
        r"\midrule",
        *ours,
        *([r"\midrule", *theirs] if ours and theirs else theirs),
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{_label(table)}}}",
        r"\end{table}",
    ]
    return "\n".join(parts) + "\n"


def _row(row: TableRow) -> str:
    style = {"published": "textit", "significant": "textbf"}.get(row.kind)
    return " & ".join(_cell(cell, style) for cell in row.cells) + r" \\"


def _cell(cell: Cell, style: str | None) -> str:
    text = escape(cell.line)
    return rf"\{style}{{{text}}}" if style and text else text


def _label(table: Table) -> str:
    return "-".join(re.findall(r"[\w.+]+(?:-[\w.+]+)*", " ".join([table.title, *table.options])))
