"""Leaderboards as LaTeX tables (package ``booktabs``)."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_ecg.report.columns import (
    COMPARISON_HEADINGS,
    Cell,
    Line,
    comparison_cells,
    sheet,
)
from nasbench_ecg.report.footnotes import across_text
from nasbench_ecg.report.leaderboard import Leaderboard, Report
from nasbench_ecg.report.statistics import CriticalDifference

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
    """Return the report as LaTeX: each leaderboard and its tests, then ranks over datasets."""
    parts = [f"% {report.title}\n% Needs \\usepackage{{booktabs}}.\n"]
    for board in report.boards:
        parts += [_table(board), *_tests(board)]
    parts += [_across(name, found) for name, found in report.across.items()]
    return "\n".join(parts)


def _table(board: Leaderboard) -> str:
    shown = sheet(board)
    ours = [_line(line) for line in shown.lines if line.kind != "published"]
    theirs = [_line(line) for line in shown.lines if line.kind == "published"]
    return _float(
        layout="".join("r" if column.numeric else "l" for column in shown.columns),
        headings=[column.heading for column in shown.columns],
        lines=[*ours, *([r"\midrule", *theirs] if theirs else [])],
        caption=" ".join([f"{' '.join([shown.title, *shown.options])}.", *shown.notes]),
        label=_label(board),
    )


def _tests(board: Leaderboard) -> list[str]:
    if not board.comparisons:
        return []
    lines = [_joined(cells) for cells in comparison_cells(board)]
    caption = f"{board.track}. Paired permutation tests over seeds, corrected by Holm's method."
    return [_float("llrrrr", COMPARISON_HEADINGS, lines, caption, f"{_label(board)}-tests")]


def _across(name: str, found: CriticalDifference) -> str:
    pairs = zip(found.methods, found.ranks, strict=True)
    return _float(
        "lr",
        ["method", "average rank"],
        [_joined([method, f"{rank:.2f}"]) for method, rank in pairs],
        f"{name}. {across_text(found)}",
        "-".join(name.replace("·", "").split()),
    )


def _label(board: Leaderboard) -> str:
    return "-".join(str(board.track).replace("·", "").split())


def _float(
    layout: str, headings: Sequence[str], lines: Sequence[str], caption: str, label: str
) -> str:
    """Return a table; ``lines`` are LaTeX already, all else is text."""
    parts = [
        r"\begin{table}",
        r"\centering\small",
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        _joined(headings),
        r"\midrule",
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{_text(caption)}}}",
        rf"\label{{tab:{label}}}",
        r"\end{table}",
    ]
    return "\n".join(parts) + "\n"


def _joined(cells: Sequence[str]) -> str:
    return " & ".join(map(_text, cells)) + r" \\"


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
