"""Reports and tables as LaTeX (package ``booktabs``)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nasbench_ecg.report.leaderboard.tables import comparison_table, leaderboard_table, rank_table
from nasbench_ecg.report.leaderboard.types import Report
from nasbench_ecg.report.table import Cell, Table, TableRow
from nasbench_ecg.text import one_line

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
    "`": r"\textasciigrave{}",
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
    labels: dict[str, int] = {}
    floats = []
    for table in tables:
        label = _label(table)
        labels[label] = labels.get(label, 0) + 1
        floats.append(_float(table, f"{label}-{labels[label]}" if labels[label] > 1 else label))
    heading = f"% {one_line(title)}\n% Needs \\usepackage{{booktabs}}.\n"
    return "\n".join([heading, *floats])


def escape(text: str) -> str:
    r"""Return ``text`` so that LaTeX shows it as it is.

    Brackets are put in braces, since ``[`` after ``\\`` would start an optional argument.
    Hyphens are kept apart, since two would become a dash, and line breaks become spaces, since two
    would end the paragraph.
    """
    apart = re.sub("-(?=-)", "-\0", one_line(text))
    escaped = "".join(_SPECIAL.get(character, character) for character in apart)
    return escaped.replace("\0", "{}")


def _float(table: Table, label: str) -> str:
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
        rf"\label{{tab:{label}}}",
        r"\end{table}",
    ]
    return "\n".join(parts) + "\n"


def _row(row: TableRow) -> str:
    return " & ".join(_cell(row, cell) for cell in row.cells) + r" \\"


def _cell(row: TableRow, cell: Cell) -> str:
    style = "textbf" if cell.strong else "textit" if row.kind == "published" else ""
    text = escape(cell.line)
    return rf"\{style}{{{text}}}" if style and text else text


def _label(table: Table) -> str:
    """Return a label of characters that every engine of LaTeX accepts."""
    words = " ".join([table.title, *table.options])
    return "-".join(re.findall(r"[\w.+]+(?:-[\w.+]+)*", words, re.ASCII))
