"""Leaderboards as LaTeX tables (package ``booktabs``)."""

from __future__ import annotations

from nasbench_ecg.report.assemble import Report
from nasbench_ecg.report.board import Leaderboard
from nasbench_ecg.report.sheet import Cell, Line, sheet

_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "·": r"$\cdot$",
    "₁": "$_1$",
    "[": "{[}",
    "]": "{]}",
}


def render(report: Report) -> str:
    """Return the report as LaTeX, one table a leaderboard."""
    head = f"% {report.title}\n% Needs \\usepackage{{booktabs}}.\n"
    return "\n".join([head, *(_table(board) for board in report.boards)])


def _table(board: Leaderboard) -> str:
    shown = sheet(board)
    layout = "".join("r" if column.numeric else "l" for column in shown.columns)
    headings = " & ".join(_text(column.heading) for column in shown.columns)
    ours = [_line(line) for line in shown.lines if line.kind != "published"]
    theirs = [_line(line) for line in shown.lines if line.kind == "published"]
    caption = _text(". ".join([" ".join([shown.title, *shown.options]), *shown.notes]))
    label = "-".join(str(board.track).replace("·", "").split())
    lines = [
        r"\begin{table}",
        r"\centering\small",
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        rf"{headings} \\",
        r"\midrule",
        *ours,
        *([r"\midrule", *theirs] if theirs else []),
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{label}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(line: Line) -> str:
    cells = [_cell(cell) for cell in line.cells]
    if line.kind == "published":
        cells = [rf"\textit{{{cell}}}" if cell else "" for cell in cells]
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    note = cell.note if cell.note.startswith(("±", "[")) else f"({cell.note})"
    return _text(" ".join(filter(None, [cell.text, note if cell.note else ""])))


def _text(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)
