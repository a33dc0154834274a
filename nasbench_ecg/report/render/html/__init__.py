"""Reports and tables as one HTML page, which loads no other file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from typing import Any

from nasbench_ecg.report.leaderboard import anytime
from nasbench_ecg.report.leaderboard.folds import fold_of
from nasbench_ecg.report.leaderboard.grouping import track_name
from nasbench_ecg.report.leaderboard.tables import (
    comparison_table,
    friedman_text,
    leaderboard_table,
)
from nasbench_ecg.report.leaderboard.tables import left_out_text as left_out
from nasbench_ecg.report.leaderboard.types import Leaderboard, Report, Row
from nasbench_ecg.report.leaderboard.verdicts import verdict_table
from nasbench_ecg.report.render.html import charts, svg
from nasbench_ecg.report.table import Chart, Table
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.text import printable, seeds_text


@dataclass(frozen=True)
class ConfusionMatrix:
    """Confusion matrix of a method, summed over its seeds.

    Attributes:
        method: Its name.
        classes: Names of the classes.
        rows: For each true class and predicted class, the number of beats and their share of the
            true class.
    """

    method: str
    classes: tuple[str, ...]
    rows: tuple[tuple[tuple[int, float], ...], ...]


@dataclass(frozen=True)
class FoundArchitecture:
    """An architecture that a method found, with the seeds that found it."""

    method: str
    seeds: str
    hash: str
    drawing: str


@dataclass(frozen=True)
class Section:
    """What the page shows of one leaderboard."""

    board: Leaderboard
    name: str
    table: Table
    methods: tuple[str, ...]
    cost_charts: tuple[Chart, ...]
    progress_charts: tuple[Chart, ...]
    progress_notes: tuple[str, ...]
    progress: tuple[Table, ...]
    matrices: tuple[ConfusionMatrix, ...]
    architectures: tuple[FoundArchitecture, ...]
    comparisons: Table | None

    @property
    def anchor(self) -> str:
        """The ``id`` of the section: its name without white space."""
        return re.sub(r"[^\w.=-]+", "-", self.name).strip("-")

    @property
    def folds(self) -> bool:
        """Whether the results are of several folds."""
        return any(row.folds for row in self.board.rows)


def render(report: Report) -> str:
    """Return the report as an HTML page."""
    from markupsafe import Markup

    boards = report.leaderboards
    labels = {board.label(row) for board in boards for row in board.rows}
    numbers = {label: number for number, label in enumerate(sorted(labels))}
    across = {
        name: (
            found,
            friedman_text(found),
            left_out(found),
            Markup(charts.critical_difference(found, numbers)),
        )
        for name, found in report.across_datasets.items()
    }
    verdicts = verdict_table(boards)
    by_track = groupby(verdicts.rows if verdicts else (), key=lambda row: row.cells[0].label)
    sections = {found.name: found for found in (_section(report, b, numbers) for b in boards)}
    return _page(
        title=report.title,
        about=report.about,
        sections=list(sections.values()),
        across=across,
        verdicts=verdicts,
        tracks=[(sections[track], list(rows)) for track, rows in by_track],
        choices=_choices(boards),
        symbol=lambda label: Markup(svg.symbol(numbers[label])),
    )


def render_tables(tables: Sequence[Table], title: str) -> str:
    """Return tables as an HTML page, with their charts."""
    from markupsafe import Markup

    numbers = {
        method: number
        for table in tables
        if table.chart
        for method, number in zip(table.chart.methods, table.chart.numbers, strict=True)
    }
    return _page(
        title=title, tables=tables, symbol=lambda label: Markup(svg.symbol(numbers[label]))
    )


def fragment(tables: Sequence[Table]) -> str:
    """Return tables as HTML for a notebook, which has its own style sheet."""
    from html import escape

    parts = []
    for table in tables:
        head = "".join(
            f'<th title="{escape(column.meaning)}">{escape(column.heading)}</th>'
            for column in table.columns
        )
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(cell.line)}</td>' for cell in row.cells)}</tr>"
            for row in table.rows
        )
        notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in table.footnotes)
        title = escape(" ".join([table.title, *table.options]))
        parts.append(
            f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>{notes}"
        )
    return printable("".join(parts))


def _page(**values: Any) -> str:
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    folder = files(__package__)
    environment = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    empty: dict[str, Any] = {
        "sections": (),
        "tables": (),
        "across": {},
        "choices": {},
        "verdicts": None,
        "tracks": (),
        "about": "",
    }
    return environment.get_template("page.html").render(
        **{**empty, **values},
        safe=Markup,
        style=Markup(folder.joinpath("page.css").read_text(encoding="utf-8")),
        script=Markup(folder.joinpath("page.js").read_text(encoding="utf-8")),
    )


def _section(report: Report, board: Leaderboard, numbers: Mapping[str, int]) -> Section:
    runs = {board.label(row): report.finished_runs(row) for row in board.rows}
    progress = anytime.curves(report, board)
    return Section(
        board=board,
        name=track_name(board, report.leaderboards),
        table=leaderboard_table(board, "html"),
        methods=tuple(board.label(row) for row in board.rows),
        cost_charts=tuple(charts.f1_against_costs(board, numbers)),
        progress_charts=tuple(charts.search_progress(progress, numbers)),
        progress_notes=tuple(map(anytime.meaning, dict.fromkeys(c.quantity for c in progress))),
        progress=tuple(anytime.tables(progress)),
        matrices=tuple(filter(None, (_matrix(board, row, report) for row in board.rows))),
        architectures=tuple(_architectures(report, runs)),
        comparisons=comparison_table(board),
    )


def _choices(boards: Sequence[Leaderboard]) -> dict[str, list[str]]:
    """Return the values that each part of a track has, for parts with more than one value."""
    parts = ("dataset", "protocol", "profile", "evaluator")
    values = {part: sorted({getattr(board.track, part) for board in boards}) for part in parts}
    return {part: found for part, found in values.items() if len(found) > 1}


def _matrix(board: Leaderboard, row: Row, report: Report) -> ConfusionMatrix | None:
    runs = [record for record in report.finished_runs(row) if record.confusion]
    if not runs:
        return None
    classes = tuple(runs[0].classes)
    indices = range(len(classes))
    total = [[sum((r.confusion or [])[i][j] for r in runs) for j in indices] for i in indices]
    rows = tuple(tuple((count, count / (sum(line) or 1)) for count in line) for line in total)
    return ConfusionMatrix(board.label(row), classes, rows)


def _architectures(
    report: Report, runs: Mapping[str, Sequence[RunRecord]]
) -> list[FoundArchitecture]:
    """Return the architectures that can be drawn, each once for a method."""
    found = []
    for method, records in runs.items():
        seeds_by_hash: dict[str, list[int]] = {}
        for record in records:
            name = record.architecture_hash or ""
            if name in report.drawings:
                seeds = seeds_by_hash.setdefault(name, [])
                if fold_of(record) is None or record.search_seed not in seeds:
                    seeds.append(record.search_seed)
        for name, seeds in seeds_by_hash.items():
            text = seeds_text([(seed, seed) for seed in seeds])
            found.append(FoundArchitecture(method, text, name, report.drawings[name]))
    return found
