"""Figures as SVG files: leaderboards, with the intervals of each method; charts of tables."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from nasbench_ecg.report.leaderboard.grouping import track_name
from nasbench_ecg.report.leaderboard.types import Leaderboard, Report, Row
from nasbench_ecg.report.measures import RANKED_BY
from nasbench_ecg.report.render.html import svg
from nasbench_ecg.report.table import Chart

_LEFT, _AXIS, _RIGHT = 230, 466, 24
_LINE, _TITLE, _GAP = 24, 26, 12
_COLOR = "#3b82c4"
_STYLE = (
    "text{font:12px system-ui,'Segoe UI',Roboto,sans-serif;fill:#333}"
    ".name,.tick{text-anchor:end}.tick{text-anchor:middle;fill:#777}.note{fill:#555}.title{font-weight:600}"
    f".grid{{stroke:#ddd}}.seeds{{stroke:{_COLOR};stroke-width:7;opacity:.35}}"
    f".patients{{stroke:#777;stroke-width:1.5}}.mean{{stroke:{_COLOR};stroke-width:2}}"
    f"circle{{fill:{_COLOR};opacity:.75}}"
)

_CHART_STYLE = (
    "text{font:12px system-ui,'Segoe UI',Roboto,sans-serif;fill:#333}.title{font-weight:600}"
    ".grid path{stroke:#ddd}.grid .x,.label{text-anchor:middle}.grid .y,text.end"
    "{text-anchor:end}.note{fill:#555}path.interval{stroke-width:1.5}"
    "text.over{paint-order:stroke;stroke:#fff;stroke-width:5px;stroke-linejoin:round}path.curve,path.front,path.published,path.undisturbed{fill:none}"
    "path.curve{stroke-width:1.6}path.front,path.undisturbed{stroke-dasharray:5 4}"
    "path.front,path.published{stroke:#777}path.published{stroke-dasharray:1 4}"
)


def render(report: Report) -> str:
    """Return the figure; leaderboards without F1 have no place in it."""
    boards = [
        board for board in report.leaderboards if board.ranked_by == RANKED_BY and _rows(board)
    ]
    values = [value for board in boards for row in _rows(board) for value in _values(row)]
    axis = svg.horizontal("F1, %", [100 * value for value in values or [0.0, 1.0]])
    names = [board.label(row) for board in boards for row in _rows(board)]
    left = max([_LEFT, *(svg.text_width(name) + 2 * _GAP for name in names)])
    axis = svg.Axis(axis.label, axis.low, axis.high, left, left + _AXIS)
    titles = [track_name(board, report.leaderboards) for board in boards]
    width = max([left + _AXIS + _RIGHT, *(svg.text_width(title) + 16 for title in titles)])
    parts, at = [], 8.0
    for board, title in zip(boards, titles, strict=True):
        top = at + _TITLE
        bottom = top + _LINE * len(_rows(board))
        parts.append(svg.text(8, at + 16, title, "title"))
        for tick in axis.ticks():
            x = axis.place(tick)
            parts.append(svg.path([(x, top), (x, bottom)], "grid"))
            parts.append(svg.text(x, bottom + 14, svg.short(tick), "tick"))
        for i, row in enumerate(_rows(board)):
            parts += _line(board, row, axis, top + _LINE * (i + 0.5))
        at = bottom + 30
    height = at + 14
    parts.append(svg.text((axis.start + axis.end) / 2, at + 4, axis.label, "tick"))
    if note := _note(boards):
        width, height = max(width, svg.text_width(note) + 16), height + 22
        parts.append(svg.text(8, height - 10, note, "note"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" '
        f'width="{width}" height="{height:.0f}" role="img" aria-label="{escape(report.title)}">'
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style>"
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def render_charts(charts: Sequence[Chart], title: str) -> str:
    """Return charts one below the other, each with its title and a legend."""
    parts, at, width = [], 0.0, svg.WIDTH
    for chart in charts:
        ends = [8 + svg.text_width(chart.name), 8 + svg.text_width(chart.note)]
        ends += [svg.LEFT + 18 + svg.text_width(name) for name in chart.methods]
        width = max(width, *(end + 8 for end in ends))
        parts.append(svg.text(8, at + 20, chart.name, "title"))
        size = f'y="{at + 28:.0f}" width="{svg.WIDTH}" height="{svg.HEIGHT}"'
        parts.append(chart.svg.replace("<svg ", f"<svg {size} ", 1))
        at += 28 + svg.HEIGHT
        for name, number in zip(chart.methods, chart.numbers, strict=True):
            at += 18
            parts.append(svg.mark(number, svg.LEFT + 5, at - 4))
            parts.append(svg.text(svg.LEFT + 18, at, name, "legend"))
        if chart.note:
            at += 20
            parts.append(svg.text(8, at, chart.note, "note"))
        at += 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {at:.0f}" '
        f'width="{width}" height="{at:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><style>{_CHART_STYLE}</style>"
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _note(boards: Sequence[Leaderboard]) -> str:
    """Return what the marks of the figure are, of those that it has."""
    rows = [row for board in boards for row in _rows(board)]
    parts = [
        "line: mean" if rows else "",
        "dots: single runs" if rows else "",
        "thick bar: 95% interval over seeds" * any(row.scores[RANKED_BY].interval for row in rows),
        "thin bar: 95% interval over patients" * any(row.patients for row in rows),
    ]
    return f"{'; '.join(filter(None, parts))}.".capitalize() if rows else ""


def _rows(board: Leaderboard) -> list[Row]:
    return [row for row in board.rows if RANKED_BY in row.scores and row.score_by_seed]


def _values(row: Row) -> list[float]:
    """Return all values of a row that the axis must hold."""
    seeds = row.scores[RANKED_BY].interval or ()
    patients = (row.patients.low, row.patients.high) if row.patients else ()
    return [*row.score_by_seed, *seeds, *patients]


def _line(board: Leaderboard, row: Row, axis: svg.Axis, y: float) -> list[str]:
    """Return the name of a method, its intervals, its mean and its runs."""
    summary = row.scores[RANKED_BY]
    parts = [svg.text(axis.start - _GAP, y + 4, board.label(row), "name")]
    if summary.interval:
        ends = [(axis.place(100 * end), y) for end in summary.interval]
        parts.append(svg.path(ends, "seeds"))
    if row.patients:
        ends = [(axis.place(100 * end), y) for end in (row.patients.low, row.patients.high)]
        parts.append(svg.path(ends, "patients"))
        parts += [svg.path([(x, y - 4), (x, y + 4)], "patients") for x, _ in ends]
    mean = axis.place(100 * summary.mean)
    parts.append(svg.path([(mean, y - 8), (mean, y + 8)], "mean"))
    places = [axis.place(100 * value) for value in row.score_by_seed]
    return [*parts, *(f'<circle r="3" cx="{x:.1f}" cy="{y:.1f}"/>' for x in places)]
